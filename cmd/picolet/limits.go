// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/pflag"

	"github.com/picolet/picolet/replica"
)

// limitFlags are the flags of whatever runs a gateway for how much boards can take.
type limitFlags struct{ replica.Limits }

func (f *limitFlags) all() []limitFlag {
	d := &replica.DefaultLimits
	return []limitFlag{
		{"max-boards", &f.Boards, d.Boards, "`NUMBER` of boards that the gateway has room for at a time"},
		{"max-pending", &f.Pending, d.Pending, "`NUMBER` of unknown boards that may wait for approval, a quarter of them from one network"},
		{"max-configmaps", &f.ConfigMaps, d.ConfigMaps, "`NUMBER` of ConfigMaps that the gateway watches for boards at a time"},
	}
}

type limitFlag struct {
	name  string
	value *int
	usual int
	usage string
}

func (f *limitFlags) register(fs *pflag.FlagSet) {
	for _, l := range f.all() {
		fs.IntVar(l.value, l.name, l.usual, l.usage)
	}
}

func (f *limitFlags) check() error {
	for _, l := range f.all() {
		if *l.value < 1 {
			return usagef("--%s %d: give a positive number", l.name, *l.value)
		}
	}
	return nil
}
