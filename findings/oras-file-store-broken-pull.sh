#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# oras.land/oras-go/v2 v2.7.0, package content/file
#
# A well-informed engineer expects: a pull that breaks off leaves the file of
# the pull before in place, or at least something to resume from.
# Seen: neither is there. The store opens the target with O_TRUNC, writes into
# it, and removes it when the content is short. A folder that held the firmware
# of yesterday holds none after a cut connection.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	_ "crypto/sha256" // go-digest uses what is registered
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/file"
)

func main() {
	folder, err := os.MkdirTemp(".", "pulled")
	if err != nil {
		panic(err)
	}
	pull := func(whole, arrived string) error {
		store, err := file.New(folder)
		if err != nil {
			return err
		}
		defer store.Close()
		return store.Push(context.Background(), ocispec.Descriptor{
			MediaType: "application/octet-stream", Digest: digest.FromString(whole), Size: int64(len(whole)),
			Annotations: map[string]string{ocispec.AnnotationTitle: "firmware.bin"},
		}, strings.NewReader(arrived))
	}
	show := func(what string, err error) {
		data, readErr := os.ReadFile(filepath.Join(folder, "firmware.bin"))
		fmt.Printf("%s: failed %t, file %q, missing %t\n", what, err != nil, data, os.IsNotExist(readErr))
	}
	show("first pull", pull("release 1", "release 1"))
	show("second pull, cut", pull("release 2", "relea"))
}
GO
go mod init finding >/dev/null 2>&1
go get oras.land/oras-go/v2@v2.7.0 >/dev/null 2>&1
got=$(go run -mod=mod .)
want='first pull: failed false, file "release 1", missing false
second pull, cut: failed true, file "", missing true'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
