// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credentials gives each node a client certificate of its own, for
// clusters in which the gateway may not impersonate. It makes the key, asks the
// signer kubernetes.io/kube-apiserver-client-kubelet for the certificate by a
// CertificateSigningRequest, approves that one request, and keeps key and
// certificate in the Secret picolet-node-<name>, so that a restarted gateway and
// the other replicas use the same.
//
//   - which certificates are at hand: pool.go, entry.go
//   - how one is made: issue.go; where it is kept: secret.go
//   - what is sent by it: transport.go
//
// The package refuses to approve a request that it did not make itself, to list
// Secrets, and to log a key. It does not decide which node a board is. A
// certificate that was issued cannot be taken back before it expires: nothing in
// Kubernetes does that.
package credentials
