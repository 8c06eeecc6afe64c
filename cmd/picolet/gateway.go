// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/gateway"
)

// gatewayFlags are the flags of "picolet gateway".
type gatewayFlags struct {
	kubeconfig, listen, admin string
	allowClusterAdmin         bool
	nodeNames                 []string
	log                       *logFlag
}

func newGatewayCommand() *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Let boards into a cluster",
		Long: `Run the gateway between boards and the API server of a cluster. Boards reach it
by plain HTTP: run it on a network that you trust. It passes on only what a node
may do, as that node, with the rights that deploy/rbac.yaml gives it.`,
		Example: `  kubectl apply -f deploy/rbac.yaml
  picolet gateway --kubeconfig gateway.kubeconfig`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runGateway(c.Context(), f, f.log.logger(c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` of the gateway's own identity (default: that of the pod it runs in)")
	c.Flags().StringVar(&f.listen, "listen", ":6080", "`ADDRESS` that boards reach the gateway at")
	c.Flags().StringVar(&f.admin, "admin-listen", "127.0.0.1:6081", "`ADDRESS` of the gateway's own /healthz, /readyz and /metrics")
	c.Flags().StringSliceVar(&f.nodeNames, "node-names", nil, "`PATTERNS` of node names that boards may take, as pico-*; needed where the cluster has other nodes (default: any)")
	c.Flags().BoolVar(&f.allowClusterAdmin, "allow-cluster-admin", false, "run even with the rights of a cluster administrator; never do that on a cluster of worth")
	f.log = addLogFlag(c, slog.LevelInfo)
	return c
}

func runGateway(ctx context.Context, f gatewayFlags, log *slog.Logger) error {
	config, err := gatewayIdentity(f.kubeconfig)
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Kubernetes: config, Logger: log, AllowClusterAdmin: f.allowClusterAdmin, NodeNames: f.nodeNames,
	})
	if err != nil {
		return err
	}
	boards, err := listen("listen", f.listen)
	if err != nil {
		return err
	}
	defer func() { _ = boards.Close() }()
	admin, err := listen("admin-listen", f.admin)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	if err := preflight(ctx, g, config.Host); err != nil {
		return interrupted(ctx, err)
	}
	return serveGateway(ctx, g, boards, admin)
}

// gatewayIdentity reads a kubeconfig, or what a pod is given.
func gatewayIdentity(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, errors.New("this is no pod, so say which cluster by --kubeconfig FILE")
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s cannot be used: %w", kubeconfig, err)
	}
	return config, nil
}

// preflight checks the gateway's rights and says what to do about them.
func preflight(ctx context.Context, g *gateway.Gateway, host string) error {
	err := g.Preflight(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gateway.ErrClusterAdmin):
		return fmt.Errorf("%w (--allow-cluster-admin)", err)
	case errors.Is(err, gateway.ErrRightsMissing):
		return err
	}
	return fmt.Errorf("the API server at %s cannot be asked; check that it runs and that --kubeconfig names it: %w", host, err)
}

// serveGateway serves boards and, where it is not nil, the admin address,
// until ctx ends.
func serveGateway(ctx context.Context, g *gateway.Gateway, boards, admin net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- serveAdmin(ctx, g, admin)
	}()
	err := g.Serve(ctx, boards)
	cancel()
	return cmp.Or(err, <-served)
}

func serveAdmin(ctx context.Context, g *gateway.Gateway, l net.Listener) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	s := &http.Server{Handler: g.AdminHandler(), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin address: %w", err)
	}
	return nil
}

// listen opens the address of a flag.
func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s, choose another address by --%s: %w", addr, flag, err)
	}
	return l, nil
}
