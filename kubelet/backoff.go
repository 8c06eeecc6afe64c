// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import "time"

// Delays between tries. The quick pair is that of the kubelet's registration
// (pkg/kubelet/kubelet_node_status.go); the slow one is for answers that no
// haste will change, such as 401 and 403.
const (
	quickDelay    = 100 * time.Millisecond
	quickDelayMax = 7 * time.Second
	slowDelay     = 10 * time.Second
	slowDelayMax  = 5 * time.Minute
)

// retry says when something may be tried, and for how often it has failed.
type retry struct {
	at       time.Duration // since boot
	failures uint16
}

// ready tells whether the time for a try has come.
func (r *retry) ready(now time.Duration) bool { return now >= r.at }

// succeed lets the next try come at once.
func (r *retry) succeed() { *r = retry{} }

// fail delays the next try: base doubled for each failure in a row, at most
// limit, of which the second half is left to chance.
func (r *retry) fail(now time.Duration, base, limit time.Duration, rand *random) {
	delay := limit
	if r.failures < 16 {
		delay = min(base<<r.failures, limit)
		r.failures++
	}
	r.at = now + delay/2 + rand.upTo(delay/2)
}

// postpone delays the next try by at least d, as a server asked for.
func (r *retry) postpone(now, d time.Duration, rand *random) {
	r.at = max(r.at, now+d+rand.upTo(time.Second))
}

// random is xorshift64*: jitter and names need no more, and nothing secret is
// made of it.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = random(x)
	return x * 0x2545F4914F6CDD1D
}

// upTo is a duration between 0 and d.
func (r *random) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.next() % uint64(d))
}

// around is d, give or take a part in 1/permille thousandths.
func (r *random) around(d time.Duration, permille int) time.Duration {
	spread := d * time.Duration(permille) / 1000
	return d - spread + r.upTo(2*spread)
}
