// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import "github.com/picolet/picolet/board"

// MaxSources is how many ConfigMaps a Config remembers.
const MaxSources = 4

// Config is the configuration in force: what all ConfigMaps asked for, and
// which versions of them made it. The zero value is a board never configured.
type Config struct {
	Memory [RegionSize]byte
	Pins   [MaxPins]board.PinState // PinFloating: never set
	LED    board.PinMode           // PinLow or PinHigh; PinFloating: never set

	// Generation counts the changes by Apply. It is kept over restarts.
	Generation uint32

	versions [MaxSources]Version // the longest unchanged first, then unused
}

// Version is what a Config remembers of a ConfigMap it applied.
type Version struct {
	source          uint64 // sourceOf the ConfigMap; 0: unused
	ResourceVersion uint64 // of the object last applied; 0: not known
	Digest          uint64 // Staged.Digest of what it asked for
}

// Apply writes what s names and leaves the rest as it was, so a ConfigMap that
// was deleted or broken leaves its last good state. Where two ConfigMaps name
// the same address or pin, the one that changed last wins.
//
// It returns whether s asks for something else than its ConfigMap did before:
// then c must be saved and the change be told. If not, c keeps its state, but
// for the ResourceVersion.
func (c *Config) Apply(s *Staged) (changed bool) {
	v := Version{s.source | 1, s.resourceVersion, s.Digest()}
	i := c.find(v.source)
	if i >= 0 && c.versions[i].Digest == v.Digest {
		c.versions[i] = v
		return false
	}
	c.remember(i, v)
	c.merge(s)
	c.Generation++
	return true
}

// Version returns what was last applied of a ConfigMap; ok is false if nothing
// was, or if MaxSources others were since.
func (c *Config) Version(namespace, name string) (v Version, ok bool) {
	i := c.find(sourceOf(namespace, name))
	if i < 0 {
		return Version{}, false
	}
	return c.versions[i], true
}

// Observe takes the version of a ConfigMap that asks for the same as before.
func (c *Config) Observe(s *Staged) {
	if i := c.find(s.source | 1); i >= 0 {
		c.versions[i].ResourceVersion = s.resourceVersion
	}
}

func (c *Config) merge(s *Staged) {
	for addr := range c.Memory {
		if v, ok := s.Byte(addr); ok {
			c.Memory[addr] = v
		}
	}
	for n := range c.Pins {
		if state, ok := s.Pin(n); ok {
			c.Pins[n] = state
		}
	}
	if s.led != board.PinFloating {
		c.LED = s.led
	}
}

// find returns the index of a source in versions, -1 if it is not there.
func (c *Config) find(source uint64) int {
	for i := range c.versions {
		if c.versions[i].source == source {
			return i
		}
	}
	return -1
}

// remember puts v behind the versions in use and drops the one at index i. If
// i is -1 and all are in use, the longest unchanged one goes.
func (c *Config) remember(i int, v Version) {
	used := c.used()
	switch {
	case i >= 0:
		used--
	case used == MaxSources:
		i, used = 0, used-1
	default:
		i = used
	}
	copy(c.versions[i:used], c.versions[i+1:])
	c.versions[used] = v
}

func (c *Config) used() int {
	if i := c.find(0); i >= 0 {
		return i
	}
	return MaxSources
}

// sourceOf identifies a ConfigMap in few bytes. It is never 0.
func sourceOf(namespace, name string) uint64 {
	return uint64(newFNV().string(namespace).string(name)) | 1
}
