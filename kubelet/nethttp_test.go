// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package kubelet

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// allocsPerRun counts what f takes from the heap.
var allocsPerRun = testing.AllocsPerRun

func parseRequest(raw []byte) (request, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return request{}, err
	}
	body, err := io.ReadAll(r.Body)
	return request{r.Method, r.RequestURI, r.Header.Get("Content-Type"), body}, err
}
