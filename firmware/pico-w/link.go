// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package main

import (
	"github.com/picolet/picolet/firmware/boot"
	"github.com/picolet/picolet/firmware/rp2040"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
	"github.com/picolet/picolet/settings"
)

// driven is the kubelet, or the kubelet over a link.
var driven driver = plainKubelet{}

// overLink is nil on a board without the gateway's key in its settings.
var overLink *linked.Kubelet

func encrypted() bool { return overLink != nil }

// linkMemory is for what has come through the link and is not yet read.
var linkMemory [noise.BufferSize]byte

// link puts the kubelet over an encrypted link, if the settings have the gateway's
// key. A board without a key of its own makes one, once.
func link(s *settings.Settings, id string) (err error) {
	if s.GatewayKey == [settings.KeySize]byte{} {
		return nil
	}
	if s.BoardKey == [settings.KeySize]byte{} {
		if err := makeKey(s); err != nil {
			return err
		}
	}
	key, err := noise.NewKey(s.BoardKey)
	if err != nil {
		return err
	}
	overLink, err = linked.New(linked.Config{
		Kubelet: &pico, Key: key, GatewayKey: s.GatewayKey, NextKey: s.NextKey, StoreKeys: storeKeys,
		Random: entropy{}, Memory: linkMemory[:],
		Hello: noise.Hello{BoardID: id, NodeName: s.NodeName, Version: node.RuntimeVersion, JoinToken: s.JoinToken},
	})
	if err == nil {
		driven = linkedKubelet{}
	}
	return err
}

// makeKey makes the board's private key, and keeps it with the settings.
func makeKey(s *settings.Settings) (err error) {
	if s.BoardKey, err = noise.GenerateKey(entropy{}); err != nil {
		return err
	}
	return saveSettings(s)
}

// storeKeys keeps the gateway's keys with the settings.
func storeKeys(known, next noise.PublicKey) error {
	s := &uplink.settings
	before := [2]noise.PublicKey{s.GatewayKey, s.NextKey}
	s.GatewayKey, s.NextKey = known, next
	err := saveSettings(s)
	if err != nil {
		s.GatewayKey, s.NextKey = before[0], before[1]
	}
	return err
}

func saveSettings(s *settings.Settings) error {
	before := enter(phaseFlash)
	defer enter(before)
	return settings.Save(&chipFlash, s)
}

// entropy is the board's, for keys: it gives none where that of the chip looks
// failed, for as long as boot.Patience.
type entropy struct{}

var _ noise.Random = entropy{}

func (entropy) Read(p []byte) (n int, err error) {
	for n < len(p) {
		var block [32]byte
		boot.Retry(clock, pause, func(attempt int) bool {
			err = rp2040.Entropy(&block, attempt)
			return err == nil
		})
		if err != nil {
			return n, err
		}
		n += copy(p[n:], block[:])
	}
	return n, nil
}
