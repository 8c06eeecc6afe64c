// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Kinds of messages, as process/wire.js says.
const (
	kindCommand = 'c'
	kindFrame   = 'f'
	kindSettled = 's'
	kindAnswer  = 'a'
	kindEvent   = 'e'
	kindConsole = 'o'
	kindTime    = 't'
)

const (
	// maxMessage is the longest message that is taken, in bytes: the whole flash with
	// room to spare.
	maxMessage = 8 << 20
	headBytes  = 5
	timeBytes  = 8
)

// message is what the process says.
type message struct {
	kind byte
	now  time.Duration // emulated
	body []byte
}

func readMessage(r io.Reader) (message, error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > maxMessage || length < timeBytes {
		return message{}, fmt.Errorf("a message of %d bytes, want %d to %d", length, timeBytes, maxMessage)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return message{}, err
	}
	nanos := math.Float64frombits(binary.BigEndian.Uint64(body))
	if !(nanos >= 0 && nanos < math.MaxInt64) {
		return message{}, fmt.Errorf("a message at %g ns", nanos)
	}
	return message{kind: head[4], now: time.Duration(nanos), body: body[timeBytes:]}, nil
}

func appendMessage(b []byte, kind byte, parts ...[]byte) []byte {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	b = append(binary.BigEndian.AppendUint32(b, uint32(length)), kind)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// encodeCommand returns a command as a message.
func encodeCommand(id uint32, command any, attached []byte) ([]byte, error) {
	text, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32(nil, id)
	head = binary.BigEndian.AppendUint32(head, uint32(len(text)))
	return appendMessage(nil, kindCommand, head, text, attached), nil
}

// answer is what the process says to a command.
type answer struct {
	Told     json.RawMessage `json:"told"`
	Error    string          `json:"error"`
	attached []byte
}

func decodeAnswer(body []byte) (id uint32, a answer, err error) {
	if len(body) < 8 {
		return 0, a, fmt.Errorf("an answer of %d bytes", len(body))
	}
	id = binary.BigEndian.Uint32(body)
	length := int(binary.BigEndian.Uint32(body[4:]))
	if body = body[8:]; length > len(body) {
		return 0, a, fmt.Errorf("an answer cut after %d bytes", len(body))
	}
	a.attached = body[length:]
	return id, a, json.Unmarshal(body[:length], &a)
}
