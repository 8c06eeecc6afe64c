// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// maxConsole is how much of the end of the console is kept, in bytes.
const maxConsole = 1 << 20

// Console is the other end of the board's UART0, at 115200 baud.
type Console struct {
	board *Board
	log   io.Writer

	// Guarded by the board's lock.
	text   []byte
	gone   int // bytes dropped before text
	waited int // where the next Wait looks, from the beginning
}

func (c *Console) add(b []byte) {
	c.text = append(c.text, b...)
	if drop := len(c.text) - maxConsole; drop > maxConsole {
		c.text = append(c.text[:0], c.text[drop:]...)
		c.gone += drop
	}
	if c.log != nil {
		_, _ = c.log.Write(b) // whoever reads along must not stop the board
	}
}

// Text returns what the board has said, the last MiB of it.
func (c *Console) Text() string {
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	return string(c.text)
}

// Send says something to the board.
func (c *Console) Send(ctx context.Context, text string) error {
	_, err := c.board.process.call(ctx, command{"name": "sendConsole"}, []byte(text))
	return failed("send to the console", err)
}

// Wait waits until the board says text, behind what the last Wait has found; what
// follows belongs to the next. The limit is emulated time.
func (c *Console) Wait(ctx context.Context, text string, limit time.Duration) error {
	return c.board.Wait(ctx, limit, fmt.Sprintf("%q on the console", text), c.finder([]byte(text)))
}

// finder returns a condition that looks at each byte once.
func (c *Console) finder(want []byte) func(State) bool {
	looked := 0
	return func(State) bool {
		from := max(c.waited, looked, c.gone) - c.gone
		if i := bytes.Index(c.text[from:], want); i >= 0 {
			c.waited = c.gone + from + i + len(want)
			return true
		}
		looked = max(c.waited, c.gone+len(c.text)-len(want)+1)
		return false
	}
}
