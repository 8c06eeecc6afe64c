// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubeletport serves the kubelet port of boards to those who ask nodes
// of a cluster: the API server (kubectl logs, exec, get --raw), metrics-server
// and Prometheus. It speaks TLS, asks the API server who a client is and what
// it may do, as a kubelet does, and passes the few requests that a board knows
// on to the board's own kubelet, over connections that [Boards] opens.
//
// Every node has a TCP port of its own on the addresses of the process: the API
// server dials the address and port of the node's status and sends no name
// that could tell nodes apart, for TLS sends none for an IP address (RFC 6066,
// section 3).
//
// What a client asks is kept apart from what a board is asked, each in files of
// its own:
//
//   - who is this: authn.go, guesses.go, clientca.go; what may it do: authz.go, route.go
//   - over what: server.go, listener.go, serving.go, csr.go, turns.go, ownca.go
//   - what is asked of the board: board.go, proxy.go
//   - the board as a pod: pods.go, log.go, logs.go, commands.go, exec.go
//
// The package refuses anonymous clients, passes no byte of a client's head on,
// takes no path or method that is not in its table, and keeps no state of a
// node. It does not authenticate boards: whom [Boards] reaches is its caller's
// business. It runs nothing: the one container that it shows, "firmware", has a
// log and five commands.
package kubeletport
