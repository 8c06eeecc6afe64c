// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/link/noise"
)

// keysInterval is how often the gateway's keys are read again. They are read by name: the
// gateway may not watch Secrets.
const keysInterval = 15 * time.Second

// keys reads the gateway's keys, or makes the first one.
func (r *Replica) keys(ctx context.Context) (enrolment.GatewayKeys, error) {
	keys, err := enrolment.EnsureGatewayKeys(ctx, r.client.CoreV1().Secrets(r.config.Namespace))
	if err != nil {
		return keys, fmt.Errorf("%w; apply deploy/enrolment.yaml if it is missing", err)
	}
	return keys, nil
}

// newKeyRing returns the keys as links take them.
func newKeyRing(keys enrolment.GatewayKeys) (*gateway.KeyRing, error) {
	pairs, err := keyPairs(keys)
	if err != nil {
		return nil, err
	}
	ring := gateway.NewKeyRing(pairs[0])
	ring.Set(pairs...)
	return ring, nil
}

func keyPairs(keys enrolment.GatewayKeys) ([]noise.Key, error) {
	var pairs []noise.Key
	for _, private := range keys.NewestFirst() {
		pair, err := noise.NewKey(private)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// followKeys takes over each change of the keys until ctx ends. While they cannot be read
// the last ones hold.
func (r *Replica) followKeys(ctx context.Context, ring *gateway.KeyRing, last enrolment.GatewayKeys) {
	readable := true
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		keys, err := enrolment.ReadGatewayKeys(ctx, r.client.CoreV1().Secrets(r.config.Namespace))
		if err != nil {
			if readable && ctx.Err() == nil {
				r.log.Error("Failed to read the gateway's keys, the last ones hold until this gateway ends; restore the Secret from a backup if it is gone", "err", err)
			}
			readable = false
			return
		}
		readable = true
		if keys == last {
			return
		}
		pairs, err := keyPairs(keys)
		if err != nil {
			r.log.Error("Failed to use the gateway's keys", "err", err)
			return
		}
		last = keys
		ring.Set(pairs...)
		r.log.Info("Gateway's keys changed", "keys", len(pairs), "newest", gateway.Fingerprint(pairs[0].Public))
	}, keysInterval, 0.2, false)
}
