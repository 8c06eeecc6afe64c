#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# github.com/google/go-containerregistry v0.22.1, package pkg/v1/mutate
#
# A well-informed engineer expects: mutations add up, in any order.
# Seen: each mutation after Subject removes the subject. An artifact that refers
# to an image, a signature for example, refers to nothing after an annotation was
# added, without an error. Subject has to be the last mutation.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func subjectOf(i v1.Image) *v1.Descriptor {
	m, err := i.Manifest()
	if err != nil {
		panic(err)
	}
	return m.Subject
}

func main() {
	digest, _ := empty.Image.Digest()
	to := v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: 1, Digest: digest}
	notes := map[string]string{"org.opencontainers.image.version": "1.0.0"}

	artifact := mutate.Subject(empty.Image, to).(v1.Image)
	fmt.Println("subject:", subjectOf(artifact) != nil)
	artifact = mutate.Annotations(artifact, notes).(v1.Image)
	fmt.Println("subject, then annotations:", subjectOf(artifact) != nil)
	artifact = mutate.Subject(mutate.Annotations(empty.Image, notes).(v1.Image), to).(v1.Image)
	fmt.Println("annotations, then subject:", subjectOf(artifact) != nil)
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/google/go-containerregistry@v0.22.1 >/dev/null 2>&1
got=$(go run -mod=mod .)
want='subject: true
subject, then annotations: false
annotations, then subject: true'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
