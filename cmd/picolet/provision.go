// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

// maxImage bounds what --read reads, in bytes: a UF2 of 16 MiB of flash.
const maxImage = 33 << 20

// howToCopy follows what is written.
func (f *provisionFlags) howToCopy() string {
	what := "The firmware on the board stays."
	if f.firmware != "" {
		what = "It holds the firmware, too."
	}
	return "Hold BOOTSEL while plugging the board in, then copy the file to the drive RPI-RP2. " + what + "\n"
}

func newProvisionCommand() *cobra.Command {
	f := newProvisionFlags()
	c := &cobra.Command{
		Use:   "provision",
		Short: "Make the file that tells a Pico W its name, Wi-Fi network and gateway",
		Long: `Make a Raspberry Pi Pico W a node: write a UF2 file with its settings and, with
--firmware, its firmware. To put it on the board,
hold BOOTSEL while plugging it in, and copy the file to the drive RPI-RP2 that appears.
The board restarts as soon as it has the whole file, so a new board needs one file with
both. Without --firmware, the firmware on the board stays; its last configuration stays
always.

The passphrase is read from a file, from standard input (--passphrase-file -) or
from the environment variable PICOLET_PASSPHRASE. It stands readable in the file
that is made, and in the board's flash.

With --csv, one file is made for each line of UTF-8 text. The first line names the
columns: the flags that describe a board, of secrets without "-file". A cell that is
empty, or a column that is missing, is taken from the flag. Blanks around a network's
name or a secret belong to it. If a line is wrong, nothing is written; what is wrong
is named by line and column, and no cell is repeated.

With --gateway-key the board comes by an encrypted link; "picolet gateway key"
prints the key. The board makes its own key at its first boot, and keeps it until it
is provisioned again; with --make-key it is made here, and its public key is printed.
The port of --gateway may be left out: it is ` + strconv.Itoa(linkPort) + ` then, or ` + strconv.Itoa(plainPort) + ` without --gateway-key.`,
		Example: `  KEY=$(picolet gateway key)
  picolet provision --firmware picolet-pico-w.uf2 --node-name pico-1 --ssid home --passphrase-file wifi.txt \
    --gateway 192.168.1.10 --gateway-key $KEY
  picolet provision --csv boards.csv --dir out --gateway 192.168.1.10 --gateway-key $KEY
  picolet provision --read pico-1.uf2

  $ cat boards.csv
  node-name,ssid,passphrase,labels
  pico-1,home,correct horse,room=attic
  pico-2,home,correct horse,"room=cellar,floor=0"`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.register(c)
	return c
}

// run does one of the three things that the command is for.
func (f *provisionFlags) run(c *cobra.Command) error {
	if c.Flags().Changed("passphrase") {
		return usagef("--passphrase would show it to everybody on this machine: use --passphrase-file FILE, with - for standard input, or PICOLET_PASSPHRASE")
	}
	switch {
	case f.read != "":
		return f.runRead(c)
	case f.csv != "":
		return f.runCSV(c)
	}
	return f.runOne(c)
}

// runOne makes the file of one board.
func (f *provisionFlags) runOne(c *cobra.Command) error {
	if c.Flags().Changed("dir") {
		return usagef("--dir goes with --csv; for one board, --output names the file")
	}
	if f.output == "json" || f.output == "text" {
		return usagef("--output %[1]s goes with --read; for a file of that name, give ./%[1]s", f.output)
	}
	s, err := f.settings(c)
	if err != nil {
		return err
	}
	if missing := provision.Missing(s, f.open); len(missing) > 0 {
		return missingFlags(missing)
	}
	if err := f.giveKey(&s); err != nil {
		return err
	}
	firmware, err := f.readFirmware()
	if err != nil {
		return err
	}
	path := cmp.Or(f.output, s.NodeName+".uf2")
	if err := provision.Write([]provision.File{uf2File(path, firmware, s)}, f.force); err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	text, err := describeKey(s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "Wrote the settings of %s to %s.\n%s%s", s.NodeName, path, text, f.howToCopy())
	return err
}

// readFirmware reads the file of --firmware, if there is one.
func (f *provisionFlags) readFirmware() (provision.Firmware, error) {
	if f.firmware == "" {
		return nil, nil
	}
	file, err := readFlashFile(f.firmware)
	if err != nil {
		return nil, fmt.Errorf("--firmware: %w", err)
	}
	firmware, err := provision.ParseFirmware(file)
	if err != nil {
		return nil, fmt.Errorf("--firmware %s: %w", f.firmware, err)
	}
	return firmware, nil
}

// uf2File is the file of one board.
func uf2File(path string, firmware provision.Firmware, s settings.Settings) provision.File {
	return provision.File{Path: path, Make: func() ([]byte, error) { return firmware.UF2(provision.Complete(s)) }}
}

// missingFlags names the flags that were left out.
func missingFlags(fields []string) error {
	var flags []string
	for _, name := range fields {
		if name == "passphrase" {
			flags = append(flags, "--passphrase-file (or --open, for a network without one)")
		} else {
			flags = append(flags, "--"+name)
		}
	}
	return usagef("missing: %s", strings.Join(flags, ", "))
}

// runCSV makes the files of many boards.
func (f *provisionFlags) runCSV(c *cobra.Command) error {
	for _, flag := range []string{"node-name", "output"} {
		if c.Flags().Changed(flag) {
			return usagef("--%s is for one board, not for --csv", flag)
		}
	}
	defaults, err := f.settings(c)
	if err != nil {
		return err
	}
	boards, err := f.readCSV(c, defaults)
	if err != nil {
		return err
	}
	firmware, err := f.readFirmware()
	if err != nil {
		return err
	}
	files := make([]provision.File, len(boards))
	for i, s := range boards {
		if err := f.giveKey(&s); err != nil {
			return err
		}
		boards[i] = s
		files[i] = uf2File(filepath.Join(f.dir, s.NodeName+".uf2"), firmware, s)
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the directory, choose another by --dir: %w", err)
	}
	if err := provision.Write(files, f.force); err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	for i, file := range files {
		text, err := describeKey(boards[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s\n%s", file.Path, text)
	}
	return nil
}

// readCSV shows what is wrong with the file, a line for each.
func (f *provisionFlags) readCSV(c *cobra.Command, defaults settings.Settings) ([]settings.Settings, error) {
	r := io.NopCloser(c.InOrStdin())
	if f.csv != "-" {
		file, err := os.Open(f.csv)
		if err != nil {
			return nil, fmt.Errorf("--csv: %w", err)
		}
		r = file
	}
	defer func() { _ = r.Close() }()
	boards, err := provision.ReadCSV(r, defaults, f.open)
	if problems, ok := errors.AsType[provision.Problems](err); ok {
		for _, p := range problems {
			fmt.Fprintf(c.ErrOrStderr(), "%s:%v\n", f.csv, p)
		}
		return nil, fmt.Errorf("--csv %s: problems: %d; nothing was written", f.csv, len(problems))
	}
	if err != nil {
		return nil, fmt.Errorf("--csv %s: nothing was written: %w", f.csv, err)
	}
	return boards, nil
}

// runRead shows the settings in a file.
func (f *provisionFlags) runRead(c *cobra.Command) error {
	var others []string
	c.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Name != "read" && flag.Name != "output" {
			others = append(others, "--"+flag.Name)
		}
	})
	if len(others) > 0 {
		return usagef("--read does not go with %s", strings.Join(others, ", "))
	}
	format := cmp.Or(f.output, "text")
	if format != "text" && format != "json" {
		return usagef("--output %q: choose text or json to go with --read", format)
	}
	file, err := readFlashFile(f.read)
	if err != nil {
		return fmt.Errorf("--read: %w", err)
	}
	s, err := provision.Read(file)
	if err != nil {
		return fmt.Errorf("--read %s: %w", f.read, err)
	}
	if format == "text" {
		_, err = io.WriteString(c.OutOrStdout(), s.String())
		return err
	}
	e := json.NewEncoder(c.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(provision.Summarize(s))
}

func readFlashFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, provision.ErrNotFlash)
	}
	if info.Size() > maxImage {
		return nil, fmt.Errorf("%s: %w, but %d bytes", path, provision.ErrNotFlash, info.Size())
	}
	return os.ReadFile(path)
}
