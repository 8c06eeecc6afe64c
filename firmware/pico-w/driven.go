// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package main

import (
	"time"

	"github.com/picolet/picolet/firmware/network"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
)

// driver is what is started and driven by the network.
type driver interface {
	network.Kubelet
	Start(now time.Duration)
}

// The two drivers are types without fields, as reach is: TinyGo would describe all
// types within a kubelet, 21 KB of flash, for a pointer to one in an interface.
type (
	plainKubelet  struct{} // pico
	linkedKubelet struct{} // overLink, which leads to pico
)

var (
	_ driver = plainKubelet{}
	_ driver = linkedKubelet{}
)

func (plainKubelet) Start(now time.Duration)                    { pico.Start(now) }
func (plainKubelet) Tick(now time.Duration)                     { pico.Tick(now) }
func (plainKubelet) Opened(now time.Duration, s kubelet.Stream) { pico.Opened(now, s) }
func (plainKubelet) Closed(now time.Duration, s kubelet.Stream, cause error) {
	pico.Closed(now, s, cause)
}
func (plainKubelet) Receive(now time.Duration, s kubelet.Stream, p []byte) int {
	return pico.Receive(now, s, p)
}
func (plainKubelet) Accept(now time.Duration) (kubelet.Stream, bool) { return pico.Accept(now) }
func (plainKubelet) Pending(s kubelet.Stream) []byte                 { return pico.Pending(s) }
func (plainKubelet) Sent(now time.Duration, s kubelet.Stream, n int) { pico.Sent(now, s, n) }
func (plainKubelet) SetAddress(now time.Duration, ip string)         { pico.SetAddress(now, ip) }
func (plainKubelet) Output() kubelet.Output                          { return pico.Output() }
func (plainKubelet) Record(now time.Duration, l logring.Level, message string) *logring.Record {
	return pico.Record(now, l, message)
}

func (linkedKubelet) Start(now time.Duration)                    { overLink.Start(now) }
func (linkedKubelet) Tick(now time.Duration)                     { overLink.Tick(now) }
func (linkedKubelet) Opened(now time.Duration, s kubelet.Stream) { overLink.Opened(now, s) }
func (linkedKubelet) Closed(now time.Duration, s kubelet.Stream, cause error) {
	overLink.Closed(now, s, cause)
}
func (linkedKubelet) Receive(now time.Duration, s kubelet.Stream, p []byte) int {
	return overLink.Receive(now, s, p)
}
func (linkedKubelet) Accept(now time.Duration) (kubelet.Stream, bool) { return overLink.Accept(now) }
func (linkedKubelet) Pending(s kubelet.Stream) []byte                 { return overLink.Pending(s) }
func (linkedKubelet) Sent(now time.Duration, s kubelet.Stream, n int) { overLink.Sent(now, s, n) }
func (linkedKubelet) SetAddress(now time.Duration, ip string)         { overLink.SetAddress(now, ip) }
func (linkedKubelet) Output() kubelet.Output                          { return overLink.Output() }
func (linkedKubelet) Record(now time.Duration, l logring.Level, message string) *logring.Record {
	return overLink.Record(now, l, message)
}
