// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import "encoding/binary"

// Limits of what a board says of itself, in bytes.
const (
	MaxBoardID   = 64
	MaxNodeName  = 63 // the kubelet's own limit
	MaxVersion   = 64
	MaxJoinToken = 128
	MaxRefusal   = 160
)

// Hello is what a board says of itself, once it has proved its key. All of it is
// printable ASCII without spaces; that it is true, nobody has checked.
type Hello struct {
	BoardID   string // Required: at most MaxBoardID
	NodeName  string // Required: the name it wishes, at most MaxNodeName
	Version   string // Required: of its firmware, at most MaxVersion
	JoinToken string // Optional [none]: at most MaxJoinToken; a secret
}

// String leaves the join token out, so that a log never shows it.
func (h Hello) String() string { return h.NodeName + " " + h.BoardID + " " + h.Version }

// GoString is String: it keeps the join token out of %#v too.
func (h Hello) GoString() string { return h.String() }

// MarshalText is String too: it keeps the join token out of JSON.
func (h Hello) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func (h *Hello) valid() bool {
	return h.BoardID != "" && h.NodeName != "" && h.Version != "" &&
		word(h.BoardID, MaxBoardID) && word(h.NodeName, MaxNodeName) &&
		word(h.Version, MaxVersion) && word(h.JoinToken, MaxJoinToken)
}

// word tells whether s is at most limit bytes of printable ASCII without spaces.
func word(s string, limit int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= limit
}

// append encodes h: four strings, each behind a byte with its length.
func (h *Hello) append(b []byte) []byte {
	for _, s := range [...]string{h.BoardID, h.NodeName, h.Version, h.JoinToken} {
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

// parse decodes what append made, of which there must be nothing more.
func (h *Hello) parse(p []byte) error {
	for _, field := range [...]*string{&h.BoardID, &h.NodeName, &h.Version, &h.JoinToken} {
		if len(p) == 0 || len(p)-1 < int(p[0]) {
			return ErrHello
		}
		*field = string(p[1 : 1+int(p[0])])
		p = p[1+int(p[0]):]
	}
	if len(p) > 0 || !h.valid() {
		return ErrHello
	}
	return nil
}

// windowsSize is the length of the encoded sizes of an end's receive buffers.
const windowsSize = 2 * NumStreams

// appendWindows encodes the sizes of our receive buffers.
func (l *Link) appendWindows(b []byte) []byte {
	for i := range l.streams {
		b = binary.BigEndian.AppendUint16(b, uint16(len(l.streams[i].received.buf)))
	}
	return b
}

// parseWindows learns those of the peer and returns what follows them.
func (l *Link) parseWindows(p []byte) ([]byte, error) {
	if len(p) < windowsSize {
		return nil, ErrRecord
	}
	for i := range l.streams {
		window := int(binary.BigEndian.Uint16(p[2*i:]))
		if window < minWindow {
			return nil, ErrRecord
		}
		l.streams[i].credit, l.streams[i].limit = window, window
	}
	return p[windowsSize:], nil
}

// text makes a refusal fit for the wire: printable ASCII of a bounded length.
func text(b []byte, s string) []byte {
	for i := range min(len(s), MaxRefusal) {
		c := s[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}
