// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxSecretFile bounds a file with a token, in bytes.
const maxSecretFile = 16 << 10

// stateDir is where picolet keeps its state by default: below XDG_STATE_HOME.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "picolet"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("there is no home directory to keep state in: say where by --dir")
	}
	return filepath.Join(home, ".local", "state", "picolet"), nil
}

// readSecret reads a token that the file of a flag holds.
func readSecret(flag, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return "", fmt.Errorf("--%s: %s is no file with a token", flag, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("--%s: %s is empty: write the token into it", flag, path)
	}
	return secret, nil
}

// writeSecret replaces a file that only its owner may read. A reader sees the
// old text or the new one.
func writeSecret(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// makeWritable makes a directory of the user's own and proves that it takes
// bytes, so that a full disk is found before anything depends on it.
func makeWritable(dir string, bytes int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the directory, choose another by --dir: %w", err)
	}
	f, err := os.CreateTemp(dir, ".probe.*")
	if err != nil {
		return fmt.Errorf("cannot write there, choose another directory by --dir: %w", err)
	}
	_, err = f.Write(make([]byte, bytes))
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return fmt.Errorf("not enough space, free some or choose another directory by --dir: %w", err)
	}
	return nil
}
