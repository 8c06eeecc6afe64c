#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# github.com/google/go-containerregistry v0.22.1, package pkg/registry
#
# A well-informed engineer expects: a registry for tests lets a client resume a
# pull as real ones do, by "Range: bytes=N-" (RFC 9110, section 14.1.2).
# Seen: 416 for a range without an end, for one that ends behind the blob, and
# for the last bytes ("bytes=-3"). By RFC 9110 all three can be satisfied. A
# client that resumes passes its tests only if it sends both ends.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	const blob = "0123456789"
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(blob)))
	resp, err := http.Post(server.URL+"/v2/a/blobs/uploads/?digest="+digest, "application/octet-stream", strings.NewReader(blob))
	if err != nil || resp.StatusCode != http.StatusCreated {
		panic(fmt.Sprint(resp, err))
	}
	for _, want := range []string{"bytes=4-6", "bytes=4-", "bytes=4-99", "bytes=-3"} {
		req, _ := http.NewRequest("GET", server.URL+"/v2/a/blobs/"+digest, nil)
		req.Header.Set("Range", want)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		fmt.Println(want, resp.StatusCode)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/google/go-containerregistry@v0.22.1 >/dev/null 2>&1
got=$(go run -mod=mod .)
want='bytes=4-6 206
bytes=4- 416
bytes=4-99 416
bytes=-3 416'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
