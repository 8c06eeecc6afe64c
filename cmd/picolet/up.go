// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/fleet"
)

// Bounds of "picolet up".
const (
	maxNodes   = 500
	upSpace    = 64 << 20 // bytes that a new cluster needs on disk
	readyTime  = time.Minute
	stopTime   = 9 * time.Second
	rightsTime = 20 * time.Second // until new roles are in force
)

// upFlags are the flags of "picolet up".
type upFlags struct {
	dir, kubernetes, datastore, source string
	gatewayListen, insecureListen      string
	address                            string
	port, nodes, emulate               int
	image                              string
	namePrefix, os, arch               string
	limits                             limitFlags
	log                                *logFlag
}

func newUpCommand() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Start a Kubernetes cluster with virtual boards on this machine",
		Long: `Start a Kubernetes control plane, a gateway and virtual Raspberry Pi Pico W boards
in one go, and show how to look at them. Ctrl-C ends everything; the cluster's state
is kept in --dir and comes back with the next "picolet up".

Each board has a key of its own, in --dir, and comes to the gateway by an encrypted
link. These boards are let in at once; others wait for "kubectl pico approve".

The nodes' kubelet ports are opened at --address, for who may use them by Kubernetes'
own rules, so that kubectl logs and exec work.`,
		Example: `  picolet up
  picolet up --nodes 10 --dir /tmp/trial
  picolet up --emulate 1
  picolet up --gateway-listen ` + at("0.0.0.0", linkPort) + `   # let other boards in`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			u := &up{upFlags: f, ready: make(chan struct{}), progress: newProgress(c.ErrOrStderr()), out: c.OutOrStdout(), log: f.log.logger(c.Context(), c.ErrOrStderr())}
			return u.run(c.Context())
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.IntVar(&f.nodes, "nodes", 3, "`NUMBER` of virtual boards")
	fs.IntVar(&f.emulate, "emulate", 0, "`NUMBER` of these boards that run the firmware on an emulated Pico W instead; needs Node.js 20 and npm")
	fs.StringVar(&f.image, "image", "", "`FILE` with the firmware for --emulate (default: "+firmwareName+" beside picolet)")
	fs.StringVar(&f.dir, "dir", "", "`DIRECTORY` for the cluster's state (default: ~/.local/state/picolet)")
	fs.StringVar(&f.kubernetes, "kubernetes", kubernetesLines[0], "`LINE` of Kubernetes to run: "+strings.Join(kubernetesLines, " or "))
	fs.StringVar(&f.datastore, "datastore", "sqlite", "`STORE` of the cluster: sqlite is kept in --dir, memory is lost at the end")
	fs.StringVar(&f.source, "source", "", "`DIRECTORY` with the control plane's sources, where it must be built (default: ./controlplane)")
	fs.IntVar(&f.port, "port", 0, "TCP `PORT` of the API server (default: that of last time, or a free one)")
	fs.StringVar(&f.gatewayListen, "gateway-listen", at(loopback, linkPort), "`ADDRESS` of the gateway for encrypted links; "+at("0.0.0.0", linkPort)+" for boards on other machines")
	fs.StringVar(&f.insecureListen, "insecure-listen", "", "`ADDRESS` of the gateway for any board by plain HTTP, as "+at(loopback, plainPort)+"; only on networks that you trust (default: none)")
	fs.StringVar(&f.address, "address", "", "`IP` address of this machine for the nodes' kubelet ports (default: that by which it reaches other networks, else "+loopback+")")
	fs.StringVar(&f.namePrefix, "name-prefix", "pico", "`PREFIX` of the boards' names: pico makes pico-1, pico-2, …")
	fs.StringVar(&f.os, "os", "linux", "`VALUE` of the boards' label kubernetes.io/os")
	fs.StringVar(&f.arch, "arch", "arm", "`VALUE` of the boards' label kubernetes.io/arch")
	f.limits.register(fs)
	f.log = addLogFlag(c, slog.LevelError)
	return c
}

// check finds what is wrong with the flags before anything is opened or
// written.
func (f *upFlags) check() error {
	switch {
	case f.nodes < 0 || f.nodes > maxNodes:
		return usagef("--nodes %d: choose 0 to %d", f.nodes, maxNodes)
	case f.emulate < 0 || f.emulate > min(f.nodes, maxEmulated):
		return usagef("--emulate %d: choose 0 to %d, and not more than --nodes", f.emulate, maxEmulated)
	case f.image != "" && f.emulate == 0:
		return usagef("--image goes with --emulate")
	case !slices.Contains(kubernetesLines, f.kubernetes):
		return badLine(f.kubernetes)
	case f.datastore != "sqlite" && f.datastore != "memory":
		return usagef("--datastore %q: choose sqlite or memory", f.datastore)
	case f.port < 0 || f.port > 65535:
		return usagef("--port %d: choose 1 to 65535, or 0 for a free one", f.port)
	case f.gatewayListen == "":
		return usagef("--gateway-listen is empty: give an address, as %s", at(loopback, linkPort))
	}
	if err := f.limits.check(); err != nil {
		return err
	}
	if _, err := f.kubeletAddress(); err != nil {
		return err
	}
	n := nodeFlags{name: f.boardName(max(f.nodes, 1)), board: "virtual", os: f.os, arch: f.arch, reportFrequency: statusFrequency}
	if _, err := n.kubeletConfig(&upstream{host: f.gatewayListen}); err != nil {
		return errors.Join(usagef("--name-prefix, --os or --arch cannot be used"), err)
	}
	return nil
}

func (f *upFlags) boardName(i int) string { return fmt.Sprintf("%s-%d", f.namePrefix, i) }

// up is one run of "picolet up".
type up struct {
	upFlags
	progress *progress
	out      io.Writer
	log      *slog.Logger
	doors    doors
	boards   []*upBoard
	firmware []byte // what emulated boards run
	advice   advice
	// pluginDir is where kubectl's plugin is, if PATH lacks that.
	pluginDir string
	ready     chan struct{} // closed when the gateway is
}

func (u *up) run(ctx context.Context) (err error) {
	if err := u.check(); err != nil {
		return err
	}
	u.advice, u.pluginDir = newAdvice()
	if u.firmware, err = u.readFirmware(); err != nil {
		return err
	}
	if err := u.prepareDir(); err != nil {
		return err
	}
	unlock, err := lockDir(u.dir)
	if err != nil {
		return err
	}
	defer unlock()
	defer u.doors.close()
	if err := u.openDoors(); err != nil {
		return err
	}
	plane, err := u.startControlPlane(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer context.AfterFunc(ctx, func() { u.progress.printf("Stopping; the state stays in %s", u.dir) })()
	err = u.runCluster(ctx, plane)
	stopping, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return errors.Join(interrupted(ctx, err), plane.Stop(stopping))
}

// interrupted takes away the errors that Ctrl-C causes.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (u *up) prepareDir() (err error) {
	if u.dir == "" {
		if u.dir, err = stateDir(); err != nil {
			return err
		}
	}
	if u.dir, err = filepath.Abs(u.dir); err != nil {
		return err
	}
	return makeWritable(u.dir, upSpace)
}

func (u *up) openDoors() (err error) {
	if u.doors.links, err = listen("gateway-listen", u.gatewayListen); err != nil {
		return err
	}
	if u.doors.insecure, err = listenOptional("insecure-listen", u.insecureListen); err != nil {
		return err
	}
	if u.doors.admin, err = net.Listen("tcp", at(loopback, 0)); err != nil {
		return fmt.Errorf("admin address of the gateway: %w", err)
	}
	return nil
}

// runCluster runs the gateway and the boards before a control plane, until ctx
// ends or one of them does. Boards end before the gateway.
func (u *up) runCluster(ctx context.Context, plane *cluster.Cluster) error {
	admin, err := clientcmd.BuildConfigFromFlags("", plane.AdminKubeconfig())
	if err != nil {
		return fmt.Errorf("kubeconfig of the control plane: %w", err)
	}
	admin.QPS = -1 // nobody else asks this API server
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return fmt.Errorf("client of the API server: %w", err)
	}
	identity, err := u.makeAccess(ctx, admin, client)
	if err != nil {
		return err
	}
	r, key, err := u.makeGateway(ctx, identity)
	if err != nil {
		return err
	}
	if err := u.makeBoards(ctx, admin); err != nil {
		return err
	}
	network, emulated, err := u.makeEmulated(ctx, client, key)
	if err != nil {
		return err
	}
	virtual, err := u.makeVirtual(key)
	if err != nil {
		return err
	}
	return runInOrder(ctx, []part{
		{"the control plane", func(ctx context.Context) error { return watchControlPlane(ctx, plane) }},
		{"the gateway's token", func(ctx context.Context) error { return u.keepToken(ctx, client) }},
		{"the gateway", func(ctx context.Context) error { return u.doors.serve(ctx, r) }},
		{"a board", func(ctx context.Context) error { return u.runBoards(ctx, virtual) }},
		{"an emulated board", func(ctx context.Context) error { return u.runEmulated(ctx, network, emulated) }},
		{"the nodes", func(ctx context.Context) error { return u.welcome(ctx, client, plane, key) }},
	})
}

// runBoards runs the boards once the gateway is ready: before, it would tell
// them to come back later.
func (u *up) runBoards(ctx context.Context, nodes []*fleet.Node) error {
	for !isOK(ctx, "http://"+u.doors.admin.Addr().String()+"/readyz") {
		if !pause(ctx, 20*time.Millisecond) {
			return nil
		}
	}
	u.progress.printf("%s", u.doors.describe())
	close(u.ready)
	return fleet.Run(ctx, nodes...)
}

// describe says where the gateway is.
func (d *doors) describe() string {
	text := fmt.Sprintf("Gateway is ready at %s", d.links.Addr())
	if d.insecure != nil {
		text += fmt.Sprintf(", for plain HTTP at %s", d.insecure.Addr())
	}
	return text + fmt.Sprintf(", its metrics at http://%s/metrics", d.admin.Addr())
}

func isOK(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// part is one of the things that run at the same time.
type part struct {
	name string
	run  func(context.Context) error
}

// runInOrder runs parts until ctx ends, or until one of them fails. Then it
// ends them, the last one first, and returns that error.
func runInOrder(ctx context.Context, parts []part) error {
	all, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stops []func()
	for _, p := range parts {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := p.run(own); err != nil && own.Err() == nil {
				cancel(fmt.Errorf("%s: %w", p.name, err))
			}
		}()
		stops = append(stops, func() { stop(); <-ended })
	}
	<-all.Done()
	for _, stop := range slices.Backward(stops) {
		stop()
	}
	if cause := context.Cause(all); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// pause waits, and tells whether it came to the end of d.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
