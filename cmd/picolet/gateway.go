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
	"github.com/picolet/picolet/replica"
)

func newGatewayCommand() *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Let boards into a cluster",
		Long: `Run a gateway between boards and the API server of a cluster. Boards reach it by
encrypted links, each with a key of its own: an unknown one shows up as a Device
that waits for "kubectl pico approve". The gateway passes on only what a node may
do, as that node, and serves each node's kubelet port to the API server, so that
kubectl logs, exec and top work. Its rights are those of the manifests below.

Two or more gateways may run side by side: a board may be on any of them.`,
		Example: `  kubectl apply -f deploy/namespace.yaml -f deploy/rbac.yaml -f deploy/picolet.dev_devices.yaml \
    -f deploy/enrolment.yaml -f deploy/kubelet-port.yaml -f deploy/admission.yaml
  picolet gateway --kubeconfig gateway.kubeconfig --node-names 'pico-*'
  picolet gateway key`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runGateway(c.Context(), &f, f.log.logger(c.Context(), c.ErrOrStderr()))
		},
	}
	f.register(c.Flags())
	f.log = addLogFlag(c, slog.LevelInfo)
	c.AddCommand(newGatewayKeyCommand())
	return c
}

func runGateway(ctx context.Context, f *gatewayFlags, log *slog.Logger) error {
	if err := f.check(); err != nil {
		return err
	}
	kubernetes, err := gatewayIdentity(f.kubeconfig)
	if err != nil {
		return err
	}
	config, err := f.config(kubernetes)
	if err != nil {
		return err
	}
	config.Logger = log
	r, err := replica.New(config)
	if err != nil {
		return err
	}
	doors, err := f.open()
	defer doors.close()
	if err != nil {
		return err
	}
	if err := preflight(ctx, r, kubernetes.Host); err != nil {
		return interrupted(ctx, err)
	}
	if err := tellBoards(ctx, r, &doors, config); err != nil {
		return interrupted(ctx, err)
	}
	return doors.serve(ctx, r)
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

// preflight checks the gateway's rights, and that no board can take a machine's
// name, and says what to do about them.
func preflight(ctx context.Context, r *replica.Replica, host string) error {
	err := r.Preflight(ctx)
	if err == nil {
		err = r.CheckNodeNames(ctx)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gateway.ErrClusterAdmin):
		return fmt.Errorf("%w (--allow-cluster-admin)", err)
	case errors.Is(err, gateway.ErrRightsMissing), errors.Is(err, replica.ErrNodeNames):
		return err
	}
	return fmt.Errorf("the API server at %s cannot be asked; check that it runs and that --kubeconfig names it: %w", host, err)
}

// tellBoards logs how boards reach the gateway, and what it warns of.
func tellBoards(ctx context.Context, r *replica.Replica, d *doors, c replica.Config) error {
	log := c.Logger
	if d.insecure != nil && len(c.InsecureBoards) == 0 && len(c.NodeNames) == 0 {
		log.Warn("Anyone on this network can be any board by plain HTTP; bound the names by --node-names, or the boards by --insecure-board", "address", d.insecure.Addr().String())
	}
	if d.links == nil {
		return nil
	}
	key, err := r.PublicKey(ctx)
	if err != nil {
		return fmt.Errorf("key of the gateway: %w", err)
	}
	port := d.links.Addr().(*net.TCPAddr).Port
	log.Info("Boards are provisioned with the gateway's public key", "publicKey", publicKeyText(key),
		"command", fmt.Sprintf("picolet provision --gateway-key %s --gateway HOST:%d", publicKeyText(key), port))
	if len(c.Addresses) > 0 {
		log.Info("The API server reaches kubelet ports here", "addresses", c.Addresses, "first", c.FirstPort, "last", c.LastPort, "hint", addressHint(&c.Nodes))
	}
	return nil
}

// addressHint returns the remedy where kubectl logs fails with "no such host". An API
// server does not report which address type it prefers.
func addressHint(nodes *gateway.NodeSettings) string {
	if nodes.NoHostnameAddress {
		return "nodes report an address of type InternalIP alone"
	}
	return "an API server that looks up node names prefers Hostname: give it --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname, or the gateway --no-hostname-address"
}

// doors are where a gateway listens. Each but admin may be nil.
type doors struct{ links, insecure, admin net.Listener }

func (d *doors) close() {
	for _, l := range []net.Listener{d.links, d.insecure, d.admin} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// serve serves boards until ctx ends, and the admin address until boards have left.
func (d *doors) serve(ctx context.Context, r *replica.Replica) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	present, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- serveAdmin(present, r.AdminHandler(), d.admin)
	}()
	err := r.Serve(ctx, d.links, d.insecure)
	leave()
	return cmp.Or(err, <-served)
}

func serveAdmin(ctx context.Context, h http.Handler, l net.Listener) error {
	s := &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
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

// listenOptional is listen, but for no address.
func listenOptional(flag, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	return listen(flag, addr)
}
