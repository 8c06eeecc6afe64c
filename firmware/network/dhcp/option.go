// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package dhcp

import wire "github.com/soypat/lneto/dhcp/dhcpv4"

// Where the fields of a message begin that can hold options, too.
const (
	serverNameStart = 44
	fileStart       = serverNameStart + 64
	fileEnd         = fileStart + 128
)

// The values of option overload (RFC 2132, section 9.3), as bits.
const (
	fileOverloaded = 1 << iota
	serverNameOverloaded
)

// maxServers is how many name servers of a message are read.
const maxServers = 8

// fields are the parts of a message that hold options, in the order in which
// the parts of one option are joined (RFC 2131, section 4.1; RFC 3396).
type fields [3][]byte

// optionFields finds the fields of a message of at least wire.OptionsOffset
// bytes; ok is false if an option in one of them is cut.
func optionFields(p []byte) (f fields, ok bool) {
	f[0] = p[wire.OptionsOffset:]
	overload, _ := f.first(wire.OptOptionOverload)
	if overload[0]&fileOverloaded != 0 {
		f[1] = p[fileStart:fileEnd]
	}
	if overload[0]&serverNameOverloaded != 0 {
		f[2] = p[serverNameStart:fileStart]
	}
	return f, f.value(wire.OptEnd, nil) >= 0
}

// value copies the value of an option to p, as much as there is room for, and
// returns its size, 0 if it is not there, -1 if an option is cut.
func (f *fields) value(number wire.OptNum, p []byte) (size int) {
	for _, rest := range f {
		for len(rest) > 0 && rest[0] != byte(wire.OptEnd) {
			if rest[0] == byte(wire.OptWordAligned) {
				rest = rest[1:]
				continue
			}
			if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
				return -1
			}
			data := rest[2 : 2+int(rest[1])]
			if rest[0] == byte(number) {
				copy(p[min(size, len(p)):], data)
				size += len(data)
			}
			rest = rest[2+len(data):]
		}
	}
	return size
}

// first returns the first bytes of an option's value, and its size.
func (f *fields) first(number wire.OptNum) (w [4]byte, size int) {
	size = f.value(number, w[:])
	return w, size
}

// word reads a value of four bytes, and reports whether the option is there and of
// that size.
func (f *fields) word(number wire.OptNum, to *[4]byte) bool {
	w, size := f.first(number)
	if size != len(w) {
		return false
	}
	*to = w
	return true
}

// servers reads the name servers that could be hosts. If there is none, those
// that were known stay.
func (f *fields) servers(to *[2][4]byte) {
	var list [4 * maxServers]byte
	size := min(f.value(wire.OptDNSServers, list[:]), len(list))
	var found [len(to)][4]byte
	n := 0
	for i := 0; i+4 <= size && n < len(found); i += 4 {
		if a := [4]byte(list[i : i+4]); usable(a) {
			found[n] = a
			n++
		}
	}
	if n > 0 {
		*to = found
	}
}
