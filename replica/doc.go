// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replica puts one process of the gateway together: the gateway proper,
// the enrolment of boards, their kubelet ports, and the pods that stand for their
// firmware. Several replicas may serve one cluster; a board may be on any of them.
//
//   - what it is told: config.go, rights.go; what runs: replica.go, service.go; how it
//     is: admin.go
//   - a board comes and goes: admission.go, ports.go; many at the same time: setup.go
//   - its firmware as a pod: mirror.go, mirror_status.go
//   - pods that are bound to its node: boundpods.go, refusals.go
//
// The package decides nothing itself: who may be which node is enrolment's
// decision, what a board may ask for gateway's, and what may be asked of a board
// kubeletport's. It opens no listener but the kubelet ports, and acts for a node
// only while that node's board has a link.
package replica
