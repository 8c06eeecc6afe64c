// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/logring"
)

// reach is how far the kubelet's requests get.
type reach uint8

const (
	reachUnknown   reach = iota
	reachNothing         // no stream can be opened
	reachGateway         // streams open, but nobody behind them answers for the API server
	reachAPIServer       // its answers arrive
)

// reachability follows how far requests get, so that an outage is told once.
type reachability struct {
	reach      reach
	code       int16         // of the gateway's answer, 0 for none
	since      time.Duration // when reach began
	silences   uint32        // how often reachGateway began
	recoveries uint32        // how often reachAPIServer followed on it
}

// set notes how far the last request got. It reports whether that is news.
func (r *reachability) set(now time.Duration, to reach, code int16) bool {
	if to == r.reach && code == r.code {
		return false
	}
	if to == r.reach {
		r.code = code
		return true
	}
	switch {
	case to == reachGateway:
		r.silences++
	case to == reachAPIServer && r.reach == reachGateway:
		r.recoveries++
	}
	r.reach, r.code, r.since = to, code, now
	return true
}

// outage tells whether it is known, and was told, that the API server gives no
// answers: then failures of other streams are no news.
func (r *reachability) outage() bool { return r.reach == reachNothing || r.reach == reachGateway }

// silent tells whether an answer says that the API server gave none: a gateway
// or proxy then sends one of these (RFC 9110, section 15.6).
func silent(code int) bool { return code == 502 || code == 503 || code == 504 }

// unanswered notes that a request got no answer, or no stream could be opened
// for it, and tells so when that is news.
func (k *Kubelet) unanswered(now time.Duration, s exchangeState, message string, cause error) {
	to := reachGateway
	if s == streamDialing {
		to = reachNothing
	}
	if k.reach.set(now, to, 0) {
		k.Record(now, logring.Warn, message).Str("host", k.config.Host).Err(cause).End()
	}
}

// answeredWith notes an answer. It reports whether that is news, and tells when
// it ends an outage.
func (k *Kubelet) answeredWith(now time.Duration, code int) (news bool) {
	if silent(code) {
		return k.reach.set(now, reachGateway, int16(code))
	}
	before := k.reach
	if k.reach.set(now, reachAPIServer, 0) && before.reach != reachUnknown {
		k.Record(now, logring.Info, "API server answers again").Dur("after", now-before.since).End()
	}
	return true
}

// readNetwork takes a look at the board's network. That the API server is the
// part of the way that is missing, only the kubelet can know.
func (k *Kubelet) readNetwork(now time.Duration) {
	r := &k.network
	*r = board.NetworkReadings{}
	k.config.Board.Network.ReadNetwork(now, r)
	r.Begun[board.NetworkNoAPIServer] += k.reach.silences
	r.Begun[board.NetworkUp] += k.reach.recoveries
	if r.State != board.NetworkUp {
		return
	}
	if k.reach.reach == reachGateway {
		r.State = board.NetworkNoAPIServer
	}
	r.Since = max(r.Since, k.reach.since)
}
