// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// fieldReader takes a section of field lines, a header or a trailer, byte by
// byte. Of the lines it keeps the values of the fields that ResponseReader needs;
// all others are checked and dropped, however long.
type fieldReader struct {
	line   [128]byte // the name, then the value, of the line under way
	length uint8
	name   field
	state  fieldState
}

type fieldState uint8

const (
	atLine   fieldState = iota // the first byte of a line
	inName                     // before the colon
	inValue                    // after the colon
	atLineLF                   // after the CR of a field line
	atEndLF                    // after the CR of the empty line
)

// fieldEvent is what a byte completed.
type fieldEvent uint8

const (
	noEvent fieldEvent = iota
	fieldEnd
	sectionEnd
)

// value returns the value of the line just completed, without white space around.
func (f *fieldReader) value() []byte { return trimSpace(f.line[:f.length]) }

// next takes one byte of the section.
func (f *fieldReader) next(c byte) (fieldEvent, error) {
	switch f.state {
	case atLineLF, atEndLF:
		return f.lineFeed(c)
	case atLine:
		f.length = 0
		f.name = otherField
		f.state = inName
		if c == '\r' {
			f.state = atEndLF
			return noEvent, nil
		}
		return noEvent, f.nameByte(c, false)
	case inName:
		return noEvent, f.nameByte(c, true)
	}
	return noEvent, f.valueByte(c)
}

func (f *fieldReader) lineFeed(c byte) (fieldEvent, error) {
	if c != '\n' {
		return noEvent, ErrLineEnd
	}
	if f.state == atEndLF {
		return sectionEnd, nil
	}
	f.state = atLine
	return fieldEnd, nil
}

func (f *fieldReader) nameByte(c byte, named bool) error {
	switch {
	case c == ':' && named:
		if int(f.length) < len(f.line) { // else too long for a known name
			f.name = fieldOf(f.line[:f.length])
		}
		f.length = 0
		f.state = inValue
	case classes[c]&tokenChar == 0: // also the white space of a folded line
		return headerError(c)
	case int(f.length) < len(f.line):
		f.line[f.length] = c
		f.length++
	}
	return nil
}

func (f *fieldReader) valueByte(c byte) error {
	switch {
	case c == '\r':
		f.state = atLineLF
	case classes[c]&valueChar == 0:
		return headerError(c)
	case !needed(f.name), f.length == 0 && (c == ' ' || c == '\t'):
	case int(f.length) == len(f.line):
		return ErrHeader
	default:
		f.line[f.length] = c
		f.length++
	}
	return nil
}

// needed reports whether a response's field is of use.
func needed(f field) bool {
	switch f {
	case fieldConnection, fieldContentLength, fieldDate, fieldETag, fieldPicoletNode, fieldPicoletReport, fieldRetryAfter, fieldTransferEncoding:
		return true
	}
	return false
}

// headerError tells a line end in a wrong place from other wrong bytes.
func headerError(c byte) error {
	if c == '\n' || c == '\r' {
		return ErrLineEnd
	}
	return ErrHeader
}
