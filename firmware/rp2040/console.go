// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"strconv"

	"github.com/picolet/picolet/kubelet/logring"
)

// maxLine is a record of the longest text with its time and level.
const maxLine = logring.MaxText + 48

// Console writes the records of a log to a serial port, line by line, and never
// waits for it: what the port takes at once goes out, the rest at the next Poll. Where
// the log is faster than the port, the oldest records are lost, and a line says how
// many.
type Console struct {
	Ring *logring.Ring // Required

	cursor uint64
	line   [maxLine]byte
	unsent []byte // rest of line
}

// port is a serial port's transmitter.
type port interface {
	ready() bool // it takes a byte
	put(b byte)
}

// poll writes what the port takes, and tells whether more is waiting.
func (c *Console) poll(p port) bool {
	for {
		if len(c.unsent) == 0 && !c.next() {
			return false
		}
		for ; len(c.unsent) > 0; c.unsent = c.unsent[1:] {
			if !p.ready() {
				return true
			}
			p.put(c.unsent[0])
		}
	}
}

// next makes the next line ready, if there is one.
func (c *Console) next() bool {
	e, ok := c.Ring.Next(c.cursor)
	if !ok {
		return false
	}
	line := c.line[:0]
	if lost := e.Seq - c.cursor - 1; lost > 0 {
		line = strconv.AppendUint(append(line, "... "...), lost, 10)
		line = append(line, " lines lost"...)
		c.cursor = e.Seq - 1
	} else {
		line = e.AppendText(line)
		c.cursor = e.Seq
	}
	c.unsent = append(line, "\r\n"...)
	return true
}
