// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/logring"
)

// storeInterval is the least time between two writes of the configuration: a
// ConfigMap that changes each second must not wear out the flash. That of a Pico W
// stands 100 000 erasures of a sector (datasheet of the W25Q16JV), which make 4.2
// million records in 14 sectors: 49 days at one a second, 16 months at one in 10 s.
const storeInterval = 10 * time.Second

// storing keeps the configuration over restarts: a change after a quiet time at
// once, one that follows soon when storeInterval is over.
type storing struct {
	due    bool          // what is in force has not been stored
	failed bool          // the last attempt, or to load
	at     time.Duration // before which nothing is stored
}

func (s *storing) wake() time.Duration {
	if !s.due {
		return never
	}
	return s.at
}

// stepStore stores the configuration when it is time.
func (k *Kubelet) stepStore(now time.Duration) {
	if k.storing.due && now >= k.storing.at {
		k.store(now)
	}
}

// store keeps the configuration over a restart.
func (k *Kubelet) store(now time.Duration) {
	s := &k.storing
	s.due, s.at = false, now+storeInterval
	storage := k.config.Board.Storage
	if storage == nil {
		return
	}
	record, err := k.applied.AppendBinary(k.record[:0])
	if err == nil {
		err = storage.Save(record)
	}
	s.failed = err != nil
	if err != nil {
		k.Record(now, logring.Error, "Configuration is in force but could not be stored").Err(err).End()
	}
}

// restore puts the stored configuration in force, before there is a network.
func (k *Kubelet) restore(now time.Duration) {
	storage := k.config.Board.Storage
	if storage == nil {
		return
	}
	p := k.record[:cap(k.record)]
	n, err := storage.Load(p)
	if err == nil && n > 0 {
		err = k.applied.UnmarshalBinary(p[:n])
	}
	if err != nil {
		k.storing.failed = true
		k.Record(now, logring.Error, "Stored configuration cannot be read: starting without").Err(err).End()
		return
	}
	k.drive()
	k.restoreDigests()
	if n > 0 {
		k.Record(now, logring.Info, "Stored configuration applied").Int("generation", int64(k.applied.Generation)).End()
	}
}

// restoreDigests has what ConfigMaps asked for before the restart count as known. One
// that named what the board rejected is applied again: the digest is of the rest.
func (k *Kubelet) restoreDigests() {
	for i := range k.watchers {
		w := &k.watchers[i]
		if v, ok := k.applied.Version(w.name.Namespace, w.name.Name); ok {
			w.digest = v.Digest
		}
	}
}

// drive sets all that the configuration in force names. What was set once is
// there; should it fail all the same, /pico/gpio shows it.
func (k *Kubelet) drive() {
	for i, state := range k.applied.Pins {
		if state.Mode != board.PinFloating {
			_ = k.setPin(i, state)
		}
	}
	if mode := k.applied.LED; mode != board.PinFloating {
		_ = k.setLED(mode == board.PinHigh)
	}
}
