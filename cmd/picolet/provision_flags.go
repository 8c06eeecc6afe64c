// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

// passphraseVariable is the environment variable that holds the passphrase.
const passphraseVariable = "PICOLET_PASSPHRASE"

// provisionFlags are the flags of "picolet provision".
type provisionFlags struct {
	fields []provision.Field
	values []string // of each field: the value, of a secret the file

	open, force, makeKey   bool
	output, csv, dir, read string
	firmware               string
}

func newProvisionFlags() *provisionFlags {
	fields := provision.Fields()
	return &provisionFlags{fields: fields, values: make([]string, len(fields))}
}

// flagName is how a field is called on the command line.
func flagName(f provision.Field) string {
	if f.Secret {
		return f.Name + "-file"
	}
	return f.Name
}

func (f *provisionFlags) register(c *cobra.Command) {
	fs := c.Flags()
	fs.SortFlags = false
	for i, field := range f.fields {
		usage := field.Usage
		if field.Secret {
			usage = "`FILE` with " + usage
		}
		fs.StringVar(&f.values[i], flagName(field), "", usage)
		if field.Bool {
			fs.Lookup(field.Name).NoOptDefVal = "true"
		}
	}
	fs.BoolVar(&f.open, "open", false, "the Wi-Fi network has no passphrase")
	fs.BoolVar(&f.makeKey, "make-key", false, "make the board's key here, not on the board, so that it can be approved before it is switched on")
	fs.StringVar(&f.firmware, "firmware", "", "UF2 `FILE` of the firmware, to write it with the settings (default: the firmware on the board stays)")
	fs.StringVarP(&f.output, "output", "o", "", "`FILE` to write (default: NODE-NAME.uf2); with --read text or json")
	fs.StringVar(&f.csv, "csv", "", "`FILE` with a line for each board (- for standard input)")
	fs.StringVar(&f.dir, "dir", ".", "`DIRECTORY` for the files that --csv makes, NODE-NAME.uf2")
	fs.BoolVar(&f.force, "force", false, "replace files that are there")
	fs.StringVar(&f.read, "read", "", "show the settings in `FILE`, a UF2 or a copy of all flash, without secrets")
	fs.String("passphrase", "", "")
	_ = fs.MarkHidden("passphrase") // fails for unknown flags only
}

// settings are those of the flags, some of which may be missing.
func (f *provisionFlags) settings(c *cobra.Command) (settings.Settings, error) {
	var s settings.Settings
	if err := f.checkStandardInput(); err != nil {
		return s, err
	}
	for i, field := range f.fields {
		name, value := flagName(field), f.values[i]
		if value == "" && c.Flags().Changed(name) {
			return s, usagef("--%s is empty", name)
		}
		if field.Secret {
			var err error
			if value, err = f.secret(c, field, value); err != nil {
				return s, err
			}
		}
		if value == "" {
			continue
		}
		if err := field.Set(&s, value); err != nil {
			if field.Secret && f.values[i] == "" {
				return s, usagef("%s: %v", passphraseVariable, err)
			}
			return s, usagef("--%s: %v", name, err)
		}
	}
	if f.open && s.Passphrase != "" && f.csv == "" {
		return s, usagef("--open is for a network without passphrase, but there is one")
	}
	return s, nil
}

// checkStandardInput refuses to read two files from it.
func (f *provisionFlags) checkStandardInput() error {
	taken := f.csv == "-"
	for i, field := range f.fields {
		if !field.Secret || f.values[i] != "-" {
			continue
		}
		if taken {
			return usagef("--%s: only one file can be standard input", flagName(field))
		}
		taken = true
	}
	return nil
}

// secret reads the file of a secret; "" if there is none.
func (f *provisionFlags) secret(c *cobra.Command, field provision.Field, path string) (string, error) {
	if path == "" {
		if field.Name == "passphrase" {
			return os.Getenv(passphraseVariable), nil
		}
		return "", nil
	}
	text, err := readLine(c.InOrStdin(), path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flagName(field), err)
	}
	return text, nil
}

// readLine reads a file of one line. Unlike readSecret it keeps blanks, which
// passphrases may begin and end with.
func readLine(stdin io.Reader, path string) (string, error) {
	r := io.NopCloser(stdin)
	if path != "-" {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if !info.Mode().IsRegular() {
			return "", fmt.Errorf("%s is no file with a secret", path)
		}
		if r, err = os.Open(path); err != nil {
			return "", err
		}
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSecretFile+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case len(b) > maxSecretFile:
		return "", fmt.Errorf("%s is no file with a secret", path)
	case text == "":
		return "", fmt.Errorf("%s is empty: write the secret into it", path)
	}
	return text, nil
}
