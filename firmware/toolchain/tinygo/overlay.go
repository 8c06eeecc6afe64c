// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// inputs are all that decides what is built, beside this package's code: the
// module file that names TinyGo and its dependencies, and what is laid over it.
//
// To change the version, run in an empty folder
//
//	go mod init github.com/picolet/picolet/firmware/compiler
//	go get -tool github.com/tinygo-org/tinygo@v0.41.1
//
// and take go.mod and go.sum as compiler.mod and compiler.sum.
//
//go:embed compiler.mod compiler.sum all:overlay
var inputs embed.FS

// recipe is the number of the way in which the inputs are put together. It goes
// up when a change of this package changes the result.
const recipe = 1

// hashInputs hashes all inputs and what else decides the result.
func hashInputs(also string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q %q\n", recipe, debianPackages, also)
	err := fs.WalkDir(inputs, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := inputs.ReadFile(name)
		fmt.Fprintf(h, "%q %d\n", name, len(data))
		h.Write(data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash the inputs of TinyGo: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// copyOverlay lays the overlay over a tree of TinyGo. It replaces no file: one
// that TinyGo has itself is no gap.
func copyOverlay(root string) error {
	overlay, err := fs.Sub(inputs, "overlay")
	if err != nil {
		return err
	}
	if err := os.CopyFS(root, overlay); err != nil {
		return fmt.Errorf("lay picolet's files over TinyGo's: %w", err)
	}
	return nil
}

// useOwnLibc changes the description of Cortex-M targets, so that they are
// linked with the overlay's C library instead of picolibc.
func useOwnLibc(root string) error {
	path := filepath.Join(root, "targets", "cortex-m.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("TinyGo's Cortex-M target: %w", err)
	}
	if data, err = withoutPicolibc(data); err != nil {
		return fmt.Errorf("TinyGo's Cortex-M target: %w", err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("TinyGo's Cortex-M target: %w", err)
	}
	return nil
}

// withoutPicolibc takes picolibc out of a target's description.
func withoutPicolibc(data []byte) ([]byte, error) {
	target := map[string]any{}
	if err := json.Unmarshal(data, &target); err != nil {
		return nil, err
	}
	if target["libc"] != "picolibc" {
		return nil, fmt.Errorf("its libc is %v, not picolibc: adapt this package to TinyGo %s", target["libc"], Version)
	}
	target["libc"] = ""
	files, _ := target["extra-files"].([]any)
	target["extra-files"] = append(slices.Clone(files), "lib/libc/memory.c", "lib/libc/log.c")
	// Freestanding: a loop in memcpy must not become a call of memcpy.
	flags, _ := target["cflags"].([]any)
	target["cflags"] = append(slices.Clone(flags), "-ffreestanding", "-nostdlibinc")
	return json.MarshalIndent(target, "", "\t")
}
