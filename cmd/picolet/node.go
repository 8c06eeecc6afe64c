// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/linux"
	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
)

// recordSpace is what a board's storage needs on disk, with some to spare.
const recordSpace = 64 << 10

func newNodeCommand() *cobra.Command {
	var f nodeFlags
	var log *logFlag
	c := &cobra.Command{
		Use:   "node",
		Short: "Make this machine a node",
		Long: `Run a kubelet for this machine, or for a virtual Raspberry Pi Pico W. It reaches
the cluster through a gateway (by an encrypted link with --gateway-key, else by
plain HTTP), or straight at the API server (TLS, with a token or a client
certificate of user system:node:NAME).`,
		Example: `  picolet node --name attic --gateway 192.168.1.10 --gateway-key $(picolet gateway key)
  picolet node --name attic --server https://192.168.1.10:6443 --ca-file ca.crt --token-file token`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runNode(c.Context(), &f, log.logger(c.Context(), c.ErrOrStderr()))
		},
	}
	f.register(c.Flags())
	log = addLogFlag(c, slog.LevelInfo)
	return c
}

func runNode(ctx context.Context, f *nodeFlags, log *slog.Logger) error {
	up, err := f.upstream()
	if err != nil {
		return err
	}
	config, err := f.kubeletConfig(up)
	if err != nil {
		return err
	}
	encrypted, err := f.checkLink()
	if err != nil {
		return err
	}
	var port net.Listener
	if !encrypted {
		if port, err = f.openPort(log); err != nil {
			return err
		}
		defer func() { _ = port.Close() }()
		config.Port = port.Addr().(*net.TCPAddr).Port
	}
	hardware, err := f.openHardware()
	if err != nil {
		return err
	}
	defer func() { _ = hardware.close() }()
	if f.board == "linux" {
		machineDefaults(&config, hardware.facts().Facts)
	}
	boot := fleet.Machine(hardware.configure(config))
	if encrypted {
		c, err := f.linkConfig(log)
		if err != nil {
			return err
		}
		dir, err := f.storageDir()
		if err != nil {
			return err
		}
		boot = overLink(dir, c, hardware.configure(config))
	}
	if err := tryLink(ctx, up); err != nil {
		return interrupted(ctx, err)
	}
	n, err := fleet.NewNode(fleet.Options{
		Name:         f.name,
		Boot:         boot,
		Dialer:       up.dialer,
		Listener:     port,
		Uptime:       hardware.uptime,
		FixedAddress: f.nodeIP != "",
		Log:          log,
	})
	if err != nil {
		return err
	}
	return fleet.Run(ctx, n)
}

// openPort opens the kubelet port.
func (f *nodeFlags) openPort(log *slog.Logger) (net.Listener, error) {
	l, err := listen("listen", f.listen)
	if err != nil {
		return nil, err
	}
	if f.serverTokenFile == "" && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Warn("Kubelet port has no token: anyone on this network can read and command the node; set --server-token-file", "address", l.Addr().String())
	}
	return l, nil
}

// tryLink finds a wrong address before the kubelet begins to try for ever.
func tryLink(ctx context.Context, up *upstream) error {
	c, err := up.dialer.Dial(ctx)
	if err != nil {
		return fmt.Errorf("%w; check that it runs there, and %s", err, up.flag)
	}
	return c.Close()
}

// hardware is a board over its boots.
type hardware struct {
	facts  func() board.Board
	uptime func() time.Duration // nil: the board boots with its kubelet
	reset  func()
	close  func() error
}

// configure returns what fleet.Machine asks for: config with the board and
// seed of each boot.
func (h *hardware) configure(config kubelet.Config) func(int) (kubelet.Config, error) {
	return func(boot int) (kubelet.Config, error) {
		if boot > 0 {
			h.reset()
		}
		c := config
		c.Board = h.facts()
		c.Seed = randomSeed()
		return c, nil
	}
}

// openHardware opens the board of the flags. The directory is made, and must
// take a record.
func (f *nodeFlags) openHardware() (*hardware, error) {
	dir, err := f.storageDir()
	if err != nil {
		return nil, err
	}
	if err := makeWritable(dir, recordSpace); err != nil {
		return nil, err
	}
	if f.board == "virtual" {
		return openVirtual(f.name, dir)
	}
	b, err := linux.New(linux.Options{StoragePath: filepath.Join(dir, "record"), GPIOChip: f.gpioChip})
	if err != nil {
		return nil, fmt.Errorf("this machine cannot be a board (try --board virtual): %w", err)
	}
	return &hardware{facts: b.Board, uptime: b.Uptime, reset: func() {}, close: b.Close}, nil
}

// openVirtual makes a Pico W in memory whose storage is in dir.
func openVirtual(name, dir string) (*hardware, error) {
	b, err := virtual.New(virtual.Options{ID: name, StoragePath: filepath.Join(dir, "record"), Seed: randomSeed()})
	if err != nil {
		return nil, err
	}
	return &hardware{facts: b.Board, reset: b.Reset, close: func() error { return nil }}, nil
}

func (f *nodeFlags) storageDir() (string, error) {
	if f.dir != "" {
		return f.dir, nil
	}
	dir, err := stateDir()
	return filepath.Join(dir, "nodes", f.name), err
}

// machineDefaults fills in what a Linux machine is instead of a Pico W.
func machineDefaults(c *kubelet.Config, facts board.Facts) {
	c.OS = cmp.Or(c.OS, runtime.GOOS)
	c.Arch = cmp.Or(c.Arch, runtime.GOARCH)
	c.InstanceType = cmp.Or(c.InstanceType, "linux")
	c.CPU = strconv.Itoa(runtime.NumCPU())
	if facts.MemoryBytes > 0 {
		c.Memory = strconv.FormatUint(facts.MemoryBytes>>10, 10) + "Ki"
	}
}

// randomSeed is entropy for a kubelet, never 0.
func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// statusFrequency is the default of --node-status-report-frequency.
const statusFrequency = 5 * time.Minute
