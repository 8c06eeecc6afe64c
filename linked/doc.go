// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package linked runs all streams of a kubelet over one encrypted link. To
// whoever drives it, it is a kubelet with one stream, kubelet.StreamAPI, that takes
// no connections: a driver for plain kubelets needs nothing more, on a board and on
// a host. What comes for the kubelet port comes through the link.
//
// When to dial is the kubelet's decision, as ever. After a link that failed or that its
// gateway ended, the next one waits for a pause: as long as the gateway has asked for,
// within bounds, so that not all boards dial at the same time.
//
// Like the kubelet it is a machine for one goroutine, without a clock, and takes
// nothing from the heap once the link is up, but what package noise tells of.
// It keeps no key, chooses no address and decides on no peer.
package linked
