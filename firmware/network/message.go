// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"encoding/binary"
	"time"

	"github.com/soypat/lneto/dns"
)

// Parts of DNS messages (RFC 1035, section 4).
const (
	dnsHeader  = dns.SizeHeader
	dnsClassIN = 1
	dnsFlush   = 0x8000 // top bit of the class in mDNS: of a question "by unicast", of a record "nothing else"
	typeA      = 1
	typeCNAME  = 5
	typeNSEC   = 47
	typeANY    = 255

	maxLabels = 64 // followed in a name, with its pointers
)

// message is a DNS message as it was received.
type message []byte

// record is a question, or a resource record.
type record struct {
	name        int // where it begins
	kind, class uint16
	ttl         time.Duration
	data        int // where it begins
	size        int // of data
}

// question reads a question at off, and returns where the next part begins.
func (m message) question(off int) (r record, next int, ok bool) {
	next = m.skipName(off)
	if next < 0 || next+4 > len(m) {
		return r, 0, false
	}
	r = record{name: off, kind: binary.BigEndian.Uint16(m[next:]), class: binary.BigEndian.Uint16(m[next+2:])}
	return r, next + 4, true
}

// record reads a resource record at off, and returns where the next begins.
func (m message) record(off int) (r record, next int, ok bool) {
	r, next, ok = m.question(off)
	if !ok || next+6 > len(m) {
		return r, 0, false
	}
	r.ttl = time.Duration(binary.BigEndian.Uint32(m[next:])) * time.Second
	r.size = int(binary.BigEndian.Uint16(m[next+4:]))
	r.data = next + 6
	return r, r.data + r.size, r.data+r.size <= len(m)
}

// skipName returns where the name at off ends, -1 if it is broken.
func (m message) skipName(off int) int {
	for range maxLabels {
		if off >= len(m) {
			return -1
		}
		start, end, pointer, err := dns.NextLabel(m[off:])
		switch {
		case err != nil:
			return -1
		case pointer:
			return off + 2
		case start == end:
			return off + 1
		}
		off += int(end)
	}
	return -1
}

// label returns the label at off, behind pointers, and where the next begins.
// It is empty at the end of the name.
func (m message) label(off int) (text []byte, next int, ok bool) {
	for range maxLabels {
		if off >= len(m) {
			return nil, 0, false
		}
		start, end, pointer, err := dns.NextLabel(m[off:])
		switch {
		case err != nil:
			return nil, 0, false
		case pointer:
			off = int(start)
		case start == end:
			return nil, off, true
		default:
			return m[off+int(start) : off+int(end)], off + int(end), true
		}
	}
	return nil, 0, false
}

// sameName tells whether the names at a and b are equal.
func (m message) sameName(a, b int) bool {
	for range maxLabels {
		x, nextA, okA := m.label(a)
		y, nextB, okB := m.label(b)
		if !okA || !okB || !equalFold(x, string(y)) {
			return false
		}
		if len(x) == 0 {
			return true
		}
		a, b = nextA, nextB
	}
	return false
}

// nameIs tells whether the name at off is that of dotted text.
func (m message) nameIs(off int, text string) bool {
	for range maxLabels {
		got, next, ok := m.label(off)
		want, rest := cutLabel(text)
		if !ok || !equalFold(got, want) {
			return false
		}
		if len(got) == 0 {
			return true
		}
		off, text = next, rest
	}
	return false
}

// cutLabel returns the first label of a dotted name, and the rest.
func cutLabel(name string) (label, rest string) {
	for i := range len(name) {
		if name[i] == '.' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// equalFold compares without regard to case of ASCII letters (RFC 4343).
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// appendName appends a dotted name, uncompressed.
func appendName(p []byte, name string) []byte {
	for name != "" {
		label, rest := cutLabel(name)
		p = append(p, byte(len(label)))
		p = append(p, label...)
		name = rest
	}
	return append(p, 0)
}

// appendHeader appends the header of a message with one question at most.
func appendHeader(p []byte, id, flags uint16, questions, answers, additional byte) []byte {
	p = binary.BigEndian.AppendUint16(p, id)
	p = binary.BigEndian.AppendUint16(p, flags)
	return append(p, 0, questions, 0, answers, 0, 0, 0, additional)
}

// validName tells whether name is dotted labels of letters, digits and dashes,
// of at most limit bytes.
func validName(name string, limit int) bool {
	if name == "" || len(name) > limit {
		return false
	}
	for len(name) > 0 {
		label, rest := cutLabel(name)
		if label == "" || len(label) > 63 || len(rest) == 0 && len(label) < len(name) {
			return false
		}
		for i := range len(label) {
			c := lower(label[i])
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
		name = rest
	}
	return true
}
