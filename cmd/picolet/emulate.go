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
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/segment"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

const (
	// maxImageFile bounds an image, in bytes: a UF2 of the whole flash has 4 MiB, an ELF
	// with what debuggers want more.
	maxImageFile = 6 << 20
	// forGood is longer than any run: some 11 years.
	forGood = 100_000 * time.Hour
	// emulatedPrefix is the length of the prefix of a segment around a gateway's address.
	emulatedPrefix = 24
)

// emulateFlags are the flags of "picolet emulate".
type emulateFlags struct {
	gateway, kubeletListen string
	ssid, passphrase       string
	pace                   string
	log                    *logFlag
}

func newEmulateCommand() *cobra.Command {
	var f emulateFlags
	c := &cobra.Command{
		Use:   "emulate FILE.uf2 [SETTINGS.uf2 ...]",
		Short: "Run a firmware image on an emulated Raspberry Pi Pico W",
		Long: `Run a firmware image on an emulated Raspberry Pi Pico W and show its serial console.
Ctrl-C ends it. FILE is what "picolet provision --firmware" has made, or firmware alone
as UF2, ELF or raw; settings behind it are written to flash after it.

The board finds the Wi-Fi network, the gateway's name or address, and its port as its
settings name them, whatever they are: they lead to --gateway, and nowhere else. So
the file for a real board works unchanged. Without settings the network is called
"picolet", its passphrase is "emulated network", and 10.42.0.1:` + strconv.Itoa(plainPort) + ` leads there.

It needs Node.js 20 and npm; the first run installs the emulator into the user's cache.
The emulator shows what the image does on models of both chips, written from their
documentation: it is no board.`,
		Example: `  picolet emulate pico-1.uf2`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say which image to run; see %q", c.CommandPath()+" --help")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f.log.logger(c.Context(), c.ErrOrStderr())
			return f.run(c.Context(), args, c.OutOrStdout(), newProgress(c.ErrOrStderr()))
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.gateway, "gateway", loopback, "`ADDRESS` of the gateway, HOST or HOST:PORT (default port: that of the settings)")
	fs.StringVar(&f.kubeletListen, "kubelet-listen", "", "`ADDRESS` on this machine that leads to the board's port 10250, as 127.0.0.1:10250 (default: none)")
	fs.StringVar(&f.ssid, "ssid", "", "`NAME` of the emulated Wi-Fi network (default: that of the settings)")
	fs.StringVar(&f.passphrase, "passphrase", "", "`PASSPHRASE` of the emulated Wi-Fi network, which others on this machine can see (default: that of the settings)")
	fs.StringVar(&f.pace, "pace", string(emulator.PaceHost), "how time goes for the board: host, as here, or answered, as fast as it can without missing an answer")
	f.log = addLogFlag(c, slog.LevelWarn)
	return c
}

func (f *emulateFlags) run(ctx context.Context, files []string, out io.Writer, p *progress) error {
	if f.pace != string(emulator.PaceHost) && f.pace != string(emulator.PaceAnswered) {
		return usagef("--pace %q: choose host or answered", f.pace)
	}
	images, told, err := readImages(files)
	if err != nil {
		return err
	}
	network, err := segmentFor(told, f.gateway)
	if err != nil {
		return err
	}
	s, err := segment.New(network)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	b := emulatedBoard{
		progress: p,
		config: emulator.Config{
			Images: images, Segment: s, Pace: emulator.Pace(f.pace), Console: out, Logger: slog.Default(),
			SSID: f.ssid, Passphrase: f.passphrase,
		},
	}
	if told != nil {
		b.join(*told)
	}
	if f.kubeletListen != "" {
		if b.listener, err = listen("kubelet-listen", f.kubeletListen); err != nil {
			return err
		}
	}
	return b.run(ctx)
}

// readImages reads files, and the last settings in them. All but the first must hold
// some.
func readImages(files []string) (images [][]byte, told *settings.Settings, err error) {
	for i, name := range files {
		image, err := readFirmware(name)
		if err != nil {
			return nil, nil, err
		}
		images = append(images, image)
		s, err := provision.Read(image)
		switch {
		case err == nil:
			told = &s
		case i > 0:
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return images, told, nil
}

func readFirmware(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxImageFile {
		return nil, fmt.Errorf("%s is no image: a Pico W's is a file of at most %d MiB", name, maxImageFile>>20)
	}
	return os.ReadFile(name)
}

// segmentFor is a network in which the gateway of a board's settings leads to
// target, HOST or HOST:PORT. Without settings it is the default one.
func segmentFor(told *settings.Settings, target string) (c segment.Config, err error) {
	host, port := emulatedGateway, uint16(plainPort)
	if told != nil {
		host, port, _ = told.GatewayAddress() // provision.Read has looked
	}
	if _, _, err := net.SplitHostPort(target); err != nil {
		target = at(target, int(port))
	}
	if h, p, err := net.SplitHostPort(target); err != nil || h == "" || p == "" {
		return c, usagef("--gateway %q: give HOST or HOST:PORT", target)
	}
	c = segment.Config{Logger: slog.Default(), Forward: map[uint16]string{port: target}}
	switch a, err := netip.ParseAddr(host); {
	case told == nil:
	case err == nil:
		c.Subnet = netip.PrefixFrom(a, emulatedPrefix)
	default:
		c.Names = map[string]netip.Addr{strings.ToLower(strings.TrimSuffix(host, ".")): netip.MustParseAddr(emulatedGateway)}
	}
	return c, nil
}

const (
	emulatedGateway = "10.42.0.1"
	kubeletPort     = 10250
)

// emulatedBoard is one run of an emulated board.
type emulatedBoard struct {
	name     string
	config   emulator.Config
	progress *progress
	listener net.Listener // leads to the kubelet port; nil if nothing does
}

// join sets the access point to what the board's settings expect, where the
// command line does not say otherwise.
func (b *emulatedBoard) join(told settings.Settings) {
	if b.config.SSID == "" {
		b.config.SSID = told.SSID
	}
	if b.config.Passphrase == "" {
		b.config.Passphrase = told.Passphrase
		b.config.OpenNetwork = told.Passphrase == ""
	}
}

// run boots the board and runs it until ctx ends, or it halts.
func (b *emulatedBoard) run(ctx context.Context) error {
	if b.listener != nil {
		defer func() { _ = b.listener.Close() }()
	}
	b.config.WaitTimeout = forGood
	b.config.Install.Progress = func(step string) { b.progress.printf("%s", step) }
	board, err := emulator.Boot(ctx, b.config)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { _ = board.Close() }()
	if b.listener != nil {
		go relay(ctx, b.listener, board.Net())
	}
	err = board.Wait(ctx, forGood, "its end", func(emulator.State) bool { return false })
	if halt, ok := errors.AsType[*emulator.HaltError](err); ok {
		return halt
	}
	return interrupted(ctx, err)
}

// relay leads connections to the board's kubelet port, until l is closed.
func relay(ctx context.Context, l net.Listener, board *emulator.Net) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			to, err := board.Dial(ctx, kubeletPort)
			if err != nil {
				slog.Warn("Board not reached", "err", err)
				return
			}
			defer func() { _ = to.Close() }()
			defer context.AfterFunc(ctx, func() { _ = to.Close() })()
			go func() { _, _ = io.Copy(to, c); closeWrite(to) }()
			_, _ = io.Copy(c, to)
		}()
	}
}

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
}
