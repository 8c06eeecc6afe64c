// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package enrolment decides which boards may be which nodes. A board comes with
// a key that it has proved to hold; what an administrator decided about that key
// is a Device in the API server, and nothing else counts.
//
//   - a hello becomes a decision: decide.go, newcomer.go, places.go, token.go, limit.go
//   - the decision holds as long as the Device says so: hold.go, watch.go
//   - what a Device amounts to beside the others, and the Node: verdict.go, view.go, foreign.go
//   - what is told: refusal.go, status.go, reconcile.go, metrics.go
//   - other gateways, and this one's Lease: replica.go, lease.go
//   - time, and a store that goes back: clock.go, source.go
//
// A key that nobody decided on shows up as a pending Device, within bounds: a
// stranger cannot fill the API server. Several gateways may run side by side;
// what only one of them may do (to take a board's link, to use a join token up) is
// settled by the API server's optimistic concurrency.
//
// The package opens no link, moves no byte of a board, acts for no node, and
// reads no Secret but by name in its own namespace. It believes a board its key
// alone: node name, identifier and version are what the board says.
package enrolment
