// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonstream

// PartSize is the number of decoded bytes up to which a key or string comes in
// one part, and the longest number that a Scanner takes.
const PartSize = 128

const maxScannerDepth = 32

// Kind says what a Token is.
type Kind uint8

// The kinds of tokens. NeedMore, the zero value, is no token: all of the input
// was consumed without completing one.
const (
	NeedMore Kind = iota
	BeginObject
	EndObject
	BeginArray
	EndArray
	Key
	String
	Number
	True
	False
	Null
)

// Token is one lexical element, or a part of a long key or string.
type Token struct {
	Kind Kind
	// More says that another part of the same Key or String follows.
	More bool
	// Depth is 0 for a top-level value and one more inside each container.
	// Begin and End of a container carry the Depth of that container as a value.
	Depth int
	// Text is the decoded text of a Key or String, or the literal of a Number;
	// it is valid until the next call. A part never ends inside a UTF-8 sequence.
	Text []byte
}

// Scanner takes JSON in pieces of any size and returns its tokens. It checks
// the grammar of RFC 8259 in full; like encoding/json it replaces invalid UTF-8
// and lone surrogates by U+FFFD. Several top-level values may follow one
// another, as in a watch stream; white space between them is needed only after
// a number. Containers nest at most 32 deep. It keeps no reference to its
// input. The zero value is ready for use.
type Scanner struct {
	text    [PartSize + 9]byte // a last step may add three U+FFFD
	length  uint8              // bytes of text in use
	pending uint8              // bytes after them: an incomplete UTF-8 sequence
	digits  uint8              // of the \u escape or the literal under way
	state   state
	literal Kind   // True, False or Null under way
	depth   uint8  // open containers
	objects uint32 // bit i: the container opened at depth i is an object
	unit    uint16 // UTF-16 code unit of the \u escape under way
	high    uint16 // high surrogate that waits for its low one, or 0
	isKey   bool   // the string under way is a key
	taken   bool   // text was handed out by the last call
	offset  int64
	err     error
}

// state says what the next byte may be.
type state uint8

const (
	atValue        state = iota // a top-level value or the end of input
	atMemberValue               // after ':'
	atElement                   // after ',' in an array
	atFirstElement              // after '['
	atKey                       // after ',' in an object
	atFirstKey                  // after '{'
	atColon
	atSeparator // after a value in a container
	inString
	inEscape  // after '\'
	inUnicode // after '\u'
	inLiteral
	// The rest is inside a number, in the terms of RFC 8259, section 6.
	inMinus
	inZero
	inInt
	inPoint
	inFrac
	inE
	inExpSign
	inExp
	endOfNumber // never kept: the byte is not part of the number
	noNumber    // never kept: the byte is wrong
)

// Reset forgets everything, ready for a new stream.
func (s *Scanner) Reset() { *s = Scanner{} }

// Offset returns the number of bytes consumed since Reset; after an error, the
// position of the byte that caused it.
func (s *Scanner) Offset() int64 { return s.offset }

// Next consumes n bytes at the front of in and returns the token they complete.
// Kind NeedMore means that all of in was consumed: call again with what follows.
// Errors are ErrSyntax, ErrNesting and ErrNumber.
func (s *Scanner) Next(in []byte) (tok Token, n int, err error) {
	s.dropTaken()
	kind := NeedMore
	for n < len(in) && kind == NeedMore && s.err == nil {
		var size int
		kind, size = s.step(in[n:])
		n += size
	}
	s.offset += int64(n)
	if s.err != nil {
		return Token{}, n, s.err
	}
	return s.token(kind), n, nil
}

// Finish tells that the input ended. It returns the number that the end
// completes, if any, and otherwise Kind NeedMore; ErrUnexpectedEnd if a value is
// cut short. An input without any value is no error.
func (s *Scanner) Finish() (Token, error) {
	s.dropTaken()
	kind := NeedMore
	switch {
	case s.err != nil:
	case s.depth == 0 && s.state == atValue:
	case s.depth == 0 && s.state >= inMinus && nextInNumber(s.state, ' ') == endOfNumber:
		kind = s.value(Number)
	default:
		s.err = ErrUnexpectedEnd
	}
	if s.err != nil {
		return Token{}, s.err
	}
	return s.token(kind), nil
}

func (s *Scanner) dropTaken() {
	if s.taken {
		s.taken, s.length = false, 0
	}
}

// token builds the token of the given kind that the last step completed.
func (s *Scanner) token(kind Kind) Token {
	tok := Token{Kind: kind, Depth: int(s.depth)}
	switch kind {
	case NeedMore:
		return Token{}
	case BeginObject, BeginArray:
		tok.Depth--
	case Key, String, Number:
		tok.Text = s.text[:s.length]
		tok.More = s.state == inString
		s.taken = true
	}
	return tok
}

// step consumes at least one byte of in, or changes the state without.
func (s *Scanner) step(in []byte) (Kind, int) {
	c := in[0]
	switch {
	case s.state == inString:
		return s.stepString(in)
	case s.state == inEscape:
		return s.accept(s.escape(c))
	case s.state == inUnicode:
		return s.accept(s.unicode(c))
	case s.state == inLiteral:
		return s.stepLiteral(c)
	case s.state >= inMinus:
		return s.stepNumber(c)
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		return NeedMore, 1
	case s.state == atColon:
		s.state = atMemberValue
		return s.accept(c == ':')
	case s.state == atSeparator:
		return s.stepSeparator(c)
	case s.state == atKey || s.state == atFirstKey:
		return s.stepKey(c)
	}
	return s.stepValue(c)
}

// accept consumes one byte that completes no token, if it is right.
func (s *Scanner) accept(right bool) (Kind, int) {
	if !right {
		return s.fail(ErrSyntax)
	}
	return NeedMore, 1
}

func (s *Scanner) fail(err error) (Kind, int) {
	s.err = err
	return NeedMore, 0
}

// value notes that a value was completed, and returns its kind.
func (s *Scanner) value(kind Kind) Kind {
	s.state = atSeparator
	if s.depth == 0 {
		s.state = atValue
	}
	return kind
}

func (s *Scanner) stepValue(c byte) (Kind, int) {
	switch {
	case c == '{':
		return s.open(BeginObject, atFirstKey, 1)
	case c == '[':
		return s.open(BeginArray, atFirstElement, 0)
	case c == ']' && s.state == atFirstElement:
		return s.close(EndArray)
	case c == '"':
		s.state, s.isKey = inString, false
	case c == 't':
		s.startLiteral(True)
	case c == 'f':
		s.startLiteral(False)
	case c == 'n':
		s.startLiteral(Null)
	default:
		return s.startNumber(c)
	}
	return NeedMore, 1
}

func (s *Scanner) stepKey(c byte) (Kind, int) {
	if c == '}' && s.state == atFirstKey {
		return s.close(EndObject)
	}
	s.state, s.isKey = inString, true
	return s.accept(c == '"')
}

func (s *Scanner) stepSeparator(c byte) (Kind, int) {
	inObject := s.objects>>(s.depth-1)&1 == 1
	switch {
	case c == ',' && inObject:
		s.state = atKey
	case c == ',':
		s.state = atElement
	case c == '}' && inObject:
		return s.close(EndObject)
	case c == ']' && !inObject:
		return s.close(EndArray)
	default:
		return s.fail(ErrSyntax)
	}
	return NeedMore, 1
}

func (s *Scanner) open(kind Kind, next state, object uint32) (Kind, int) {
	if s.depth == maxScannerDepth {
		return s.fail(ErrNesting)
	}
	s.objects = s.objects&^(1<<s.depth) | object<<s.depth
	s.depth++
	s.state = next
	return kind, 1
}

func (s *Scanner) close(kind Kind) (Kind, int) {
	s.depth--
	return s.value(kind), 1
}

func (s *Scanner) startLiteral(kind Kind) {
	s.state, s.literal, s.digits = inLiteral, kind, 1
}

func (s *Scanner) stepLiteral(c byte) (Kind, int) {
	name := "null"
	switch s.literal {
	case True:
		name = "true"
	case False:
		name = "false"
	}
	if c != name[s.digits] {
		return s.fail(ErrSyntax)
	}
	s.digits++
	if int(s.digits) < len(name) {
		return NeedMore, 1
	}
	return s.value(s.literal), 1
}
