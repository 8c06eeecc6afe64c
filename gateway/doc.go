// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway stands between boards and the Kubernetes API server. It takes
// the REST requests of the boards' kubelets over plain HTTP/1.1 and passes on,
// over TLS and as user system:node:<name>, the few that a node needs to be
// Ready. ConfigMaps it reads under its own role and hands out itself, from one
// upstream watch for all boards.
//
// Three questions are kept apart, each in files of its own:
//
//   - which board is this: framing.go, conn.go, claims.go, identity.go
//   - what may it do: route.go, headers.go, body.go, part.go
//   - upstream: upstream.go, answer.go, the way to act for nodes
//     (identity_mode.go, identity_find.go, preflight.go) and the ConfigMap cache
//     (configmap_*.go)
//
// The package refuses to invent a node's state, to forward a byte of a request
// head that a board wrote, to act for anything but a node, and to run with the
// rights of a cluster administrator unless told to. It does not authenticate
// boards: plain HTTP is for trusted networks.
package gateway
