// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import "time"

// counters are what /metrics counts beside the server's own.
type counters struct {
	heartbeats      uint32
	leaseConflicts  uint32
	configsApplied  uint32
	configsRejected uint32
	entriesRejected uint32
	answers         [numOperations][numOutcomes]uint32
	durations       durations
}

// durations count the requests whose whole answer came, but for watches, and how
// long they took together.
type durations struct {
	micros [numOperations]uint64
	count  [numOperations]uint32
}

func (s *durations) add(op operation, d time.Duration) {
	s.micros[op] += uint64(max(d, 0).Microseconds())
	s.count[op]++
}

// outcome is how a request to the API server ended, coarse enough to keep the
// labels of a metric few.
type outcome uint8

const (
	succeeded outcome = iota
	unauthorized
	forbidden
	notFound
	conflict
	gone
	throttled
	otherClientError
	serverError
	noAnswer
	numOutcomes
)

var outcomeNames = [numOutcomes]string{"2xx", "401", "403", "404", "409", "410", "429", "4xx", "5xx", "none"}

func outcomeOf(code int) outcome {
	switch {
	case code/100 == 2:
		return succeeded
	case code == 401:
		return unauthorized
	case code == 403:
		return forbidden
	case code == 404:
		return notFound
	case code == 409:
		return conflict
	case code == 410:
		return gone
	case code == 429:
		return throttled
	case code/100 == 4:
		return otherClientError
	case code/100 == 5:
		return serverError
	}
	return noAnswer
}

// countAnswer counts the end of a request; code 0 is one without an answer.
func (k *Kubelet) countAnswer(op operation, code int) {
	k.answers[op][outcomeOf(code)]++
}
