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
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/link/noise"
)

// apiTime bounds a request to the API server for which a person waits.
const apiTime = 30 * time.Second

// keyFlags say which gateway's key it is about.
type keyFlags struct{ kubeconfig, namespace string }

func newGatewayKeyCommand() *cobra.Command {
	var f keyFlags
	c := &cobra.Command{
		Use:   "key",
		Short: "Print the gateway's public key, for picolet provision",
		Long: `Print the public key by which boards know the gateways of a cluster: the one for
--gateway-key of "picolet provision" and "picolet node". It is read from the Secret
` + enrolment.GatewayKeySecret + `, which is made if there is none yet: so boards can be provisioned
before a gateway has run. Back that Secret up: without it every board must be
provisioned again.`,
		Example: `  picolet provision --gateway-key $(picolet gateway key) --gateway 192.168.1.10 …
  picolet gateway key list
  picolet gateway key rotate`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			keys, err := f.read(c.Context())
			if err != nil {
				return interrupted(c.Context(), err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), publicKeyText(noise.PublicKey(keys.Current.Public())))
			return err
		},
	}
	c.PersistentFlags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` of somebody who may read that Secret (default: that of kubectl)")
	c.PersistentFlags().StringVar(&f.namespace, "namespace", enrolment.DefaultNamespace, "`NAMESPACE` of the gateway")
	c.AddCommand(newKeyListCommand(&f), newKeyRotateCommand(&f))
	return c
}

// cluster is that which kubectl would talk to.
func (f *keyFlags) cluster() (*rest.Config, coreclient.SecretInterface, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("no cluster to ask, name one by --kubeconfig: %w", err)
	}
	config.Timeout = apiTime
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("client of the API server: %w", err)
	}
	return config, client.CoreV1().Secrets(f.namespace), nil
}

// read reads the keys, or makes the first one.
func (f *keyFlags) read(ctx context.Context) (enrolment.GatewayKeys, error) {
	_, secrets, err := f.cluster()
	if err != nil {
		return enrolment.GatewayKeys{}, err
	}
	keys, err := enrolment.EnsureGatewayKeys(ctx, secrets)
	if apierrors.IsNotFound(err) {
		err = fmt.Errorf("there is no namespace %s: kubectl apply -f deploy/namespace.yaml, or name the gateway's by --namespace", f.namespace)
	}
	return keys, err
}
