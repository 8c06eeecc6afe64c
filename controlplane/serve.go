// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/picolet/picolet/controlplane/internal/args"
	"github.com/picolet/picolet/controlplane/internal/datastore"
	"github.com/picolet/picolet/controlplane/internal/lifecycle"
	"github.com/picolet/picolet/controlplane/internal/pki"
	"github.com/picolet/picolet/controlplane/internal/statedir"
)

// stopTimeout leaves the process two of the ten seconds that service managers allow.
const stopTimeout = 8 * time.Second

// settings are the flags of serve.
type settings struct {
	dir            string
	datastore      datastore.Kind
	address        netip.Addr
	port           int
	verbosity      int
	exitWithParent bool
	extra          struct{ apiServer, controllerManager, scheduler []string }
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func parseSettings(arguments []string) (settings, error) {
	var s settings
	var kind, address string
	var apiServer, controllerManager, scheduler list
	fs := flag.NewFlagSet("picolet-controlplane serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&s.dir, "dir", "", "`directory` of keys, kubeconfigs and data; made where missing. Required")
	fs.StringVar(&kind, "datastore", string(datastore.SQLite), "sqlite (kept in the directory) or memory (lost at the end)")
	fs.StringVar(&address, "address", "127.0.0.1", "`IP` address that the API server listens on; 0.0.0.0 for all")
	fs.IntVar(&s.port, "port", 0, "TCP `port` of the API server; 0 for that of last time or a free one")
	fs.IntVar(&s.verbosity, "v", 0, "log `level` of Kubernetes, 0 to 10")
	fs.BoolVar(&s.exitWithParent, "exit-with-parent", false, "end when standard input ends, as it does when the parent process dies with its end of a pipe")
	fs.Var(&apiServer, "apiserver-arg", "`name=value` flag for kube-apiserver, replacing the built-in one; may be repeated")
	fs.Var(&controllerManager, "controller-manager-arg", "`name=value` flag for kube-controller-manager, likewise")
	fs.Var(&scheduler, "scheduler-arg", "`name=value` flag for kube-scheduler, likewise")
	if err := fs.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(os.Stdout)
		fs.Usage()
		return s, err
	} else if err != nil {
		return s, err
	}
	return s, s.complete(fs, kind, address, apiServer, controllerManager, scheduler)
}

func (s *settings) complete(fs *flag.FlagSet, kind, address string, extra ...list) (err error) {
	if fs.NArg() > 0 {
		return fmt.Errorf("serve takes flags only, got %q", fs.Arg(0))
	}
	if s.dir == "" {
		return errors.New("say where to keep the state: --dir DIR")
	}
	if s.port < 0 || s.port > 65535 {
		return fmt.Errorf("--port %d: choose 0 to 65535", s.port)
	}
	if s.datastore, err = datastore.ParseKind(kind); err != nil {
		return fmt.Errorf("--datastore: %w", err)
	}
	s.address, err = netip.ParseAddr(address)
	s.address = s.address.Unmap()
	if err != nil || s.address.Zone() != "" {
		return fmt.Errorf("--address %s: give an IP address such as 127.0.0.1", address)
	}
	for i, target := range []*[]string{&s.extra.apiServer, &s.extra.controllerManager, &s.extra.scheduler} {
		if *target, err = args.Parse(extra[i]); err != nil {
			return err
		}
	}
	return nil
}

func serve(arguments []string, out io.Writer) error {
	s, err := parseSettings(arguments)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w%w", err, errUsage)
	}
	// The database and the socket hold every Secret of the cluster.
	syscall.Umask(0o077)
	// A launcher that dies takes the reader of our log along: stop in order even so.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Hooks of the API server end the process when they are cut, as by an early SIGTERM.
	klog.OsExit = func(int) {
		if ctx.Err() != nil {
			os.Exit(0)
		}
		os.Exit(exitFailure)
	}
	if s.exitWithParent {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	return s.serve(ctx, out)
}

func (s settings) serve(ctx context.Context, out io.Writer) error {
	dir, err := statedir.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	listener, err := dir.Listen(s.address, s.port)
	if err != nil {
		return err
	}
	defer listener.Close()
	socket, removeSocket, err := dir.Socket("kine.sock")
	if err != nil {
		return err
	}
	defer removeSocket()

	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	url := "https://" + netip.AddrPortFrom(args.ReachableAddress(s.address), port).String()
	if err := s.ensureKeys(dir, url); err != nil {
		return err
	}
	store := datastore.Config{Kind: s.datastore, Socket: socket, File: dir.Path("state.db"), Log: os.Stderr}
	plane := controlPlane{
		settings: s,
		url:      url,
		listener: listener,
		store:    store,
		admin:    dir.Path("admin.kubeconfig"),
		args: args.Config{PKI: dir.Path("pki"), Dir: dir.Path(""), Address: s.address, Port: int(port),
			Datastore: store.URL(), Verbosity: s.verbosity},
	}
	err = plane.run(ctx, func() { fmt.Fprintf(out, "ready %s\n", url) })
	if errors.Is(err, lifecycle.ErrStopTimeout) {
		// Ended as asked, only not in order; the database is made for that.
		klog.ErrorS(err, "Ended without waiting any longer")
		err = nil
	}
	klog.Flush()
	return err
}

func (s settings) ensureKeys(dir *statedir.Dir, url string) error {
	names, addresses, err := servingNames(s.address)
	if err != nil {
		return err
	}
	err = pki.Ensure(pki.Config{Dir: dir.Path("pki"), Names: names, Addresses: addresses, Now: time.Now()})
	if err != nil {
		return err
	}
	return pki.WriteKubeconfigs(dir.Path("pki"), dir.Path(""), url)
}

// servingNames returns what the API server may be called by: inside the cluster, on
// this host and, when it listens on all addresses, from outside.
func servingNames(address netip.Addr) ([]string, []netip.Addr, error) {
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	addresses := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), args.ServiceIP(address)}
	if !address.IsUnspecified() {
		return names, addNew(addresses, address), nil
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addresses = addNew(addresses, p.Addr().WithZone(""))
		}
	}
	return names, addresses, nil
}

func addNew(addresses []netip.Addr, a netip.Addr) []netip.Addr {
	if slices.Contains(addresses, a) {
		return addresses
	}
	return append(addresses, a)
}

// controlPlane is what serve runs.
type controlPlane struct {
	settings
	url      string
	listener net.Listener
	store    datastore.Config
	admin    string
	args     args.Config
}

func (p controlPlane) run(ctx context.Context, ready func()) error {
	probes, err := newProbes(p.url, p.admin)
	if err != nil {
		return err
	}
	stages, err := p.stages(probes)
	if err != nil {
		return err
	}
	return lifecycle.Run(ctx, lifecycle.Plan{
		Stages:      stages,
		Last:        probes.complete,
		Ready:       ready,
		Waiting:     func(name string, err error) { klog.ErrorS(err, "Still waiting", "component", name) },
		StopTimeout: stopTimeout,
	})
}

func (p controlPlane) stages(probes *probes) ([][]lifecycle.Component, error) {
	// Ports of their own, taken here: several control planes may start at once.
	var listeners [2]net.Listener
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("open a port for health checks: %w", err)
		}
	}
	manager, scheduler := listeners[0], listeners[1]
	return [][]lifecycle.Component{{{
		Name:  "datastore",
		Run:   func(ctx context.Context) error { return datastore.Serve(ctx, p.store) },
		Ready: p.store.Ready,
	}}, {{
		Name: "kube-apiserver",
		Run: func(ctx context.Context) error {
			return runAPIServer(ctx, p.listener, args.APIServer(p.args, p.extra.apiServer))
		},
		Ready: probes.apiServer,
	}}, {{
		Name: "kube-controller-manager",
		Run: func(ctx context.Context) error {
			return runControllerManager(ctx, manager, args.ControllerManager(p.args, p.extra.controllerManager))
		},
		Ready: probes.of(manager, "/healthz"),
	}, {
		Name: "kube-scheduler",
		Run: func(ctx context.Context) error {
			return runScheduler(ctx, scheduler, args.Scheduler(p.args, p.extra.scheduler))
		},
		Ready: probes.of(scheduler, "/readyz"),
	}}}, nil
}
