// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// Lease is what a server gave.
type Lease struct {
	Address   [4]byte
	Mask      [4]byte
	Router    [4]byte // 0.0.0.0: there is none. It may be off the subnet: it is then on the link all the same
	Spare     [4]byte // router to be used if such a one does not answer; 0.0.0.0: none
	Server    [4]byte
	DNS       [2][4]byte    // 0.0.0.0: none
	Time      time.Duration // 0: for ever
	Renewal   time.Duration // 0: half of Time
	Rebinding time.Duration // 0: seven eighths of Time
	Offered   [4]byte       // the router that the server told, if it had to be mended
	Mended    bool
}

// Local tells whether a host is on the lease's network, reached without the
// router.
func (l *Lease) Local(host [4]byte) bool {
	mask := number(l.Mask)
	return number(host)&mask == number(l.Address)&mask
}

// same tells whether l and o differ in nothing but their times.
func (l Lease) same(o Lease) bool {
	l.Time, l.Renewal, l.Rebinding = o.Time, o.Renewal, o.Rebinding
	return l == o
}

// times returns when to renew and rebind, from the begin of the lease (RFC
// 2131, 4.4.5). What a server tells holds if it is in order.
func (l *Lease) times() (renew, rebind time.Duration) {
	renew, rebind = l.Renewal, l.Rebinding
	if rebind <= 0 || rebind >= l.Time {
		rebind = l.Time / 8 * 7
	}
	if renew <= 0 || renew >= rebind {
		renew = min(l.Time/2, rebind)
	}
	return renew, rebind
}

// mendMask replaces a mask that is missing or has a hole.
func (l *Lease) mendMask() {
	if m := number(l.Mask); m == 0 || bits.LeadingZeros32(^m)+bits.TrailingZeros32(m) != 32 {
		l.Mask = [4]byte{255, 255, 255, 0}
	}
}

// setRouter takes the router that a server names. One off the subnet may be on
// the link, as it must be where the mask is 255.255.255.255; one that can be no
// other host is replaced.
func (l *Lease) setRouter(router [4]byte) {
	if l.Mended && router == l.Offered {
		return
	}
	l.Router, l.Spare, l.Offered, l.Mended = router, [4]byte{}, [4]byte{}, false
	switch {
	case l.couldRoute(router):
	case usable(router) && !l.Local(router):
		l.Spare = l.guessRouter()
	default:
		l.Spare = l.guessRouter()
		l.useSpare()
	}
}

// useSpare replaces an invalid router.
func (l *Lease) useSpare() {
	l.Offered, l.Router, l.Spare, l.Mended = l.Router, l.Spare, [4]byte{}, true
}

// guessRouter returns the likeliest router: the server itself, if it is on the
// subnet, as that host exists and serves it, else the first host, by custom.
func (l *Lease) guessRouter() [4]byte {
	for _, host := range [...][4]byte{l.Server, address(number(l.Address)&number(l.Mask) + 1)} {
		if l.couldRoute(host) {
			return host
		}
	}
	return [4]byte{}
}

// couldRoute reports whether host is another host of the lease's subnet.
func (l *Lease) couldRoute(host [4]byte) bool {
	if host == l.Address || !l.Local(host) {
		return false
	}
	rest := ^number(l.Mask)
	if rest <= 1 { // RFC 3021: both are hosts
		return true
	}
	h := number(host) & rest
	return h != 0 && h != rest
}

// usable tells whether address can be that of a host.
func usable(a [4]byte) bool {
	return a[0] != 0 && a[0] != 127 && a[0] < 224
}

func number(a [4]byte) uint32 { return binary.BigEndian.Uint32(a[:]) }

func address(n uint32) (a [4]byte) {
	binary.BigEndian.PutUint32(a[:], n)
	return a
}
