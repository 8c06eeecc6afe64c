// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubelet is the portable core of picolet: it makes a board a node of a
// Kubernetes cluster. It registers the node, keeps its status and lease fresh,
// follows its ConfigMaps, records Events and answers the kubelet port.
//
// A Kubelet is a machine without a clock, a network or a goroutine of its own.
// Each input (bytes that arrived, a stream that opened or closed, time that
// passed) is a method that takes the time since boot; what must then happen is
// read from Output and Pending. It speaks HTTP/1.1 and JSON over byte streams
// that somebody else dials, so that the same code runs in firmware, in a
// process of ten thousand nodes, and in a test.
//
//	      bytes, ticks                     bytes, dials
//	caller ───────────► Kubelet ───► Output ───────────► caller
//	                       │ ▲
//	            SetPin, Save▼ │Read
//	                     board.Board
//
// What a ConfigMap asks for is in force at once. It is stored at once too if the
// last change was stored 10 s ago or longer, else when 10 s have gone by, and before
// a reset that was asked for: so a ConfigMap that changes all the time does not wear
// out the flash. Power that fails within these 10 s leaves the configuration that
// was stored before, until the API server tells the newer one again.
//
// All memory is claimed by Configure. A Kubelet is not safe for concurrent use.
package kubelet
