// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is version v1alpha1 of the API group picolet.dev: the
// [Device], an enrolled board. It holds types and what can be computed from one
// object alone; it decides nothing and talks to nobody.
//
// The rules that the API server checks stand here as markers, from which
// controller-gen makes deploy/picolet.dev_devices.yaml and the deep copies.
//
// +kubebuilder:object:generate=true
// +groupName=picolet.dev
package v1alpha1

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object:headerFile=header.go.txt crd:headerFile=header.yaml.txt paths=. output:object:dir=. output:crd:dir=../../deploy
