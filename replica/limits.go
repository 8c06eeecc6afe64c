// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"fmt"
)

// Limits bound what boards can take of a gateway. The zero Limits are the defaults.
type Limits struct {
	// Boards is how many node names may be in use at one time, each by a link or a
	// board that comes by plain HTTP. Optional [10000].
	Boards int

	// ConfigMaps is how many are watched for boards at one time. Optional [1024].
	ConfigMaps int

	// Pending is how many Devices that gateways made may wait for approval, a
	// quarter of them from one network. Optional [100].
	Pending int
}

// DefaultLimits are those that a field of 0 stands for.
var DefaultLimits = Limits{Boards: 10_000, ConfigMaps: 1024, Pending: 100}

func (l *Limits) validate() error {
	for name, n := range map[string]int{"Boards": l.Boards, "ConfigMaps": l.ConfigMaps, "Pending": l.Pending} {
		if n < 0 {
			return fmt.Errorf("field Limits.%s is %d: give a positive number, or 0 for the default", name, n)
		}
	}
	return nil
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Boards:     cmp.Or(l.Boards, DefaultLimits.Boards),
		ConfigMaps: cmp.Or(l.ConfigMaps, DefaultLimits.ConfigMaps),
		Pending:    cmp.Or(l.Pending, DefaultLimits.Pending),
	}
}
