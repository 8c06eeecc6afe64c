// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/enrolment"
)

// TestMachineTakesOverABoardsNode: a machine's kubelet registers under the name of a
// linked board. The board's link is cut, and its Device says why.
func TestMachineTakesOverABoardsNode(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	b := newBoard(t, r)
	p.join(t, b, `{"approved":true}`)
	begin := time.Now()
	eventually(t, 2*time.Minute, func() error {
		// As a kubelet does that finds its Node there (pkg/kubelet/kubelet_node_status.go).
		_, err := p.client.CoreV1().Nodes().Patch(t.Context(), b.name, types.StrategicMergePatchType,
			[]byte(`{"status":{"nodeInfo":{"containerRuntimeVersion":"containerd://2.1.0"}}}`), metav1.PatchOptions{}, "status")
		must(t, err)
		d, err := p.devices.Get(t.Context(), b.device, metav1.GetOptions{})
		must(t, err)
		c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Enrolled)
		if c == nil || c.Status != metav1.ConditionFalse || c.Reason != string(enrolment.NodeNotABoard) {
			return errors.New("the Device is enrolled")
		}
		if r.log.lines("Board's link is down", "node="+b.name, "reason=revoked") == 0 {
			return errors.New("the board is linked")
		}
		return nil
	})
	t.Logf("cut off in %v", time.Since(begin))
	if err := r.CheckNodeNames(t.Context()); !errors.Is(err, ErrNodeNames) || !strings.Contains(err.Error(), "node "+b.name) {
		t.Errorf("a gateway for any node name would start: %v", err)
	}
	b.boot(t)
	eventually(t, 30*time.Second, func() error {
		if r.log.lines("Refused a board", b.device, "reason=NodeNotABoard") < 2 { // as it was cut off, and now
			return errors.New("it is not refused")
		}
		return nil
	})
}
