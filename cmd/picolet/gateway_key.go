// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/link/noise"
)

// apiTime bounds a request to the API server for which a person waits.
const apiTime = 30 * time.Second

func newGatewayKeyCommand() *cobra.Command {
	var kubeconfig, namespace string
	c := &cobra.Command{
		Use:   "key",
		Short: "Print the gateway's public key, for picolet provision",
		Long: `Print the public key by which boards know the gateways of a cluster: the one for
--gateway-key of "picolet provision" and "picolet node". It is read from the Secret
` + enrolment.GatewayKeySecret + `, which is made if there is none yet: so boards can be provisioned
before a gateway has run.`,
		Example: `  picolet provision --gateway-key $(picolet gateway key) --gateway 192.168.1.10 …`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			key, err := readGatewayKey(c.Context(), kubeconfig, namespace)
			if err != nil {
				return interrupted(c.Context(), err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), publicKeyText(key))
			return err
		},
	}
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig `FILE` of somebody who may read that Secret (default: that of kubectl)")
	c.Flags().StringVar(&namespace, "namespace", enrolment.DefaultNamespace, "`NAMESPACE` of the gateway")
	return c
}

// readGatewayKey reads the key of the cluster that kubectl would talk to.
func readGatewayKey(ctx context.Context, kubeconfig, namespace string) (noise.PublicKey, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return noise.PublicKey{}, fmt.Errorf("no cluster to ask, name one by --kubeconfig: %w", err)
	}
	config.Timeout = apiTime
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return noise.PublicKey{}, fmt.Errorf("client of the API server: %w", err)
	}
	private, err := enrolment.GatewayKey(ctx, client.CoreV1().Secrets(namespace))
	switch {
	case apierrors.IsNotFound(err):
		return noise.PublicKey{}, fmt.Errorf("there is no namespace %s: kubectl apply -f deploy/namespace.yaml, or name the gateway's by --namespace", namespace)
	case err != nil:
		return noise.PublicKey{}, err
	}
	key, err := noise.NewKey(private)
	return key.Public, err
}
