// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/enrolment"
)

// access is which cluster, as whom: the flags of kubectl. Help shows those
// that are used most; kubectl keeps them all for "kubectl options".
type access struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

func newAccess() *access {
	return &access{rules: clientcmd.NewDefaultClientConfigLoadingRules()}
}

func (a *access) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.rules.ExplicitPath, "kubeconfig", "", "")
	clientcmd.BindOverrideFlags(&a.overrides, flags, clientcmd.RecommendedConfigOverrideFlags(""))
	shown := map[string]string{
		"kubeconfig": "kubeconfig `FILE` (default: that of kubectl)",
		"context":    "`NAME` of the context in it",
		"namespace":  "`NAMESPACE` of the gateway, where join tokens are (default: " + enrolment.DefaultNamespace + ")",
	}
	flags.VisitAll(func(f *pflag.Flag) {
		usage, ok := shown[f.Name]
		if f.Hidden = !ok; ok {
			f.Usage = usage
		}
	})
}

// cluster is the clients for it.
type cluster struct {
	devices   *devices.Client
	client    kubernetes.Interface
	namespace string // the gateway's
}

func (a *access) open() (*cluster, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(a.rules, &a.overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to talk to: %w; name one by --kubeconfig or --context", err)
	}
	config.UserAgent = "kubectl-pico"
	d, err := devices.New(config)
	if err != nil {
		return nil, err
	}
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{d, c, cmp.Or(a.overrides.Context.Namespace, enrolment.DefaultNamespace)}, nil
}
