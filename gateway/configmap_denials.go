// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "time"

const (
	// denialMemory is how long a ConfigMap that the gateway may not read is not asked
	// for again: as long as who has just granted the right bears to wait.
	denialMemory = 30 * time.Second
	maxDenials   = 4096
)

// denials are the ConfigMaps that the API server has lately refused to the gateway.
// Without them each request for one would be a list upstream.
type denials map[feedKey]denial

type denial struct {
	refused *refusal
	until   time.Time
}

// of is the refusal of a ConfigMap, if it is remembered.
func (d denials) of(key feedKey, now time.Time) *refusal {
	if known, ok := d[key]; ok && now.Before(known.until) {
		return known.refused
	}
	return nil
}

// add remembers a refusal, in place of any other if there are too many.
func (d denials) add(key feedKey, refused *refusal, now time.Time) {
	for other, known := range d {
		if len(d) < maxDenials && now.Before(known.until) {
			break
		}
		delete(d, other)
	}
	d[key] = denial{refused, now.Add(denialMemory)}
}
