// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/picolet/picolet/enrolment"
)

// ErrNodeNames says that boards could take the names of machines.
var ErrNodeNames = errors.New("boards may take any node name")

// CheckNodeNames refuses a gateway whose boards may take any node name in a cluster
// that has machines as nodes: a board could take the name of the next one before it
// registers. The error wraps [ErrNodeNames], or says that the API server could not
// be asked.
func (r *Replica) CheckNodeNames(ctx context.Context) error {
	c := r.config
	if len(c.NodeNames) > 0 || c.NoLinks && len(c.InsecureBoards) > 0 {
		return nil
	}
	machine, err := enrolment.FindMachine(ctx, r.client.CoreV1().Nodes())
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w, and the gateway may not list the cluster's nodes: kubectl apply -f deploy/rbac.yaml, or name the patterns that boards may take by --node-names, for example 'pico-*'", ErrNodeNames)
	case err != nil:
		return fmt.Errorf("listing the cluster's nodes: %w", err)
	case machine != nil:
		return fmt.Errorf("%w, and node %s is not a board (%.64q): name the patterns that boards may take by --node-names, for example 'pico-*'", ErrNodeNames, machine.Name, machine.Status.NodeInfo.ContainerRuntimeVersion)
	}
	return nil
}
