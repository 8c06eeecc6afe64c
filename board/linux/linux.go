// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/filestore"
)

// Board is a Linux machine as a board. Its parts are safe for concurrent use.
type Board struct {
	facts   board.Facts
	sensors *sensors
	root    tree
	gpio    *gpio            // nil: no pins
	store   *filestore.Store // nil: no storage
}

// New looks at the machine. It fails if nothing identifies it, and if the
// storage or the GPIO chip that o names cannot be had.
func New(o Options) (*Board, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	b := &Board{}
	if err := b.open(o); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Board) open(o Options) (err error) {
	b.root = tree(o.Root)
	disk := o.Root
	if o.StoragePath != "" {
		disk = filepath.Dir(o.StoragePath)
		if b.store, err = filestore.New(o.StoragePath); err != nil {
			return err
		}
	}
	if b.sensors, err = openSensors(o.Root, disk); err != nil {
		return err
	}
	if b.facts, err = readFacts(o.Root); err != nil {
		return err
	}
	b.facts.FlashBytes, _, _ = b.sensors.disk()
	if o.GPIOChip == "" {
		return nil
	}
	if b.gpio, err = openGPIO(o.GPIOChip, hostKernel{}); err != nil {
		return fmt.Errorf("cannot use GPIO chip %s: %w", o.GPIOChip, err)
	}
	return nil
}

// Board returns the machine as a kubelet takes it.
func (b *Board) Board() board.Board {
	whole := board.Board{Facts: b.facts, Sensors: b.sensors}
	if b.gpio != nil {
		whole.Pins = b.gpio
	}
	if b.store != nil {
		whole.Storage = b.store
	}
	return whole
}

// Uptime is the time since the machine booted, 0 if it cannot be read.
func (b *Board) Uptime() time.Duration { return uptime(b.root.line("proc/uptime")) }

// Close closes the files of the sensors and gives the pins back to the
// kernel, which keeps or resets their level as its driver does.
func (b *Board) Close() error {
	var err error
	if b.sensors != nil {
		err = b.sensors.close()
	}
	if b.gpio != nil {
		err = errors.Join(err, b.gpio.close())
	}
	return err
}
