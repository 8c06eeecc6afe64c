// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/segment"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

const (
	// maxEmulated is how many emulated boards "picolet up" runs: each wants half a
	// processor while it works.
	maxEmulated = 8
	// emulatedReadyTime is what an emulated board may take more until it is Ready: its
	// processor is slower than a board's, and the first one is installed.
	emulatedReadyTime = 30 * time.Second
	// firmwareName is the image that `make firmware` makes beside picolet.
	firmwareName = "picolet-pico-w.uf2"
	// emulatedSSID and emulatedPassphrase are those of the emulated access point.
	emulatedSSID       = "picolet"
	emulatedPassphrase = "emulated network"
)

// readFirmware reads the image of --image, or the one beside picolet.
func (f *upFlags) readFirmware() ([]byte, error) {
	if f.emulate == 0 {
		return nil, nil
	}
	path := f.image
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("--emulate: %w; say which image by --image", err)
		}
		path = filepath.Join(filepath.Dir(own), firmwareName)
	}
	image, err := readFirmware(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--emulate: there is no firmware image %s: make it by \"make firmware\", or say where it is by --image", path)
	}
	return image, err
}

// makeEmulated makes the emulated boards, which are the first ones; nothing runs yet.
func (u *up) makeEmulated(ctx context.Context, client kubernetes.Interface, gatewayKey noise.PublicKey) (*segment.Segment, []*emulatedBoard, error) {
	if u.emulate == 0 {
		return nil, nil, nil
	}
	s, err := segment.New(segment.Config{Forward: map[uint16]string{linkPort: reachable(u.doors.links.Addr())}, Logger: u.log})
	if err != nil {
		return nil, nil, err
	}
	var boards []*emulatedBoard
	for _, b := range u.boards[:u.emulate] {
		e, err := u.makeEmulatedBoard(ctx, client, b, gatewayKey)
		if err != nil {
			return nil, nil, errors.Join(err, s.Close())
		}
		e.config.Segment = s
		boards = append(boards, e)
	}
	return s, boards, nil
}

// reachable is an address of this machine behind which a listener is.
func reachable(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && t.IP.IsUnspecified() {
		return at(loopback, t.Port)
	}
	return a.String()
}

func (u *up) makeEmulatedBoard(ctx context.Context, client kubernetes.Interface, b *upBoard, gatewayKey noise.PublicKey) (*emulatedBoard, error) {
	told, err := provision.UF2(settings.Settings{
		NodeName: b.name, SSID: emulatedSSID, Passphrase: emulatedPassphrase,
		Gateway: at(emulatedGateway, linkPort), GatewayKey: gatewayKey, BoardKey: b.key.private,
	})
	if err != nil {
		return nil, fmt.Errorf("settings of %s: %w", b.name, err)
	}
	before := ""
	if n, err := client.CoreV1().Nodes().Get(ctx, b.name, metav1.GetOptions{}); err == nil {
		before = n.Status.NodeInfo.BootID
	}
	b.isThisBoot = func(id string) bool { return id != before }
	last := byte(b.number)
	return &emulatedBoard{
		progress: u.progress, name: b.name,
		config: emulator.Config{
			Images: [][]byte{u.firmware, told}, Pace: emulator.PaceHost, Seed: int32(randomSeed() >> 34),
			SSID: emulatedSSID, Passphrase: emulatedPassphrase, Console: io.Discard, Logger: u.log,
			UniqueID: [8]byte{0xe6, 0x61, 1, 2, 3, 4, 5, last}, MAC: [6]byte{0x02, 0xca, 0xfe, 0, 1, last},
		},
	}, nil
}

// runEmulated runs the emulated boards until ctx ends or one of them halts.
func (u *up) runEmulated(ctx context.Context, s *segment.Segment, boards []*emulatedBoard) error {
	if s == nil {
		return nil
	}
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, b := range boards {
		all.Go(func() {
			if err := b.run(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", b.name, err))
			}
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
