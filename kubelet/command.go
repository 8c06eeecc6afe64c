// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/httpserver"
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/kubelet/text"
)

// blink flashes the LED.
type blink struct {
	left   uint16 // changes of the LED still to come
	after  bool   // what the LED shows when it has ended
	period time.Duration
	at     time.Duration
}

func (b *blink) wake() time.Duration {
	if b.left == 0 {
		return never
	}
	return b.at
}

// stepBlink changes the LED when it is time to.
func (k *Kubelet) stepBlink(now time.Duration) {
	b := &k.blinking
	if b.left == 0 || now < b.at {
		return
	}
	b.left--
	k.config.Board.LED.SetLED(b.after != (b.left%2 == 1))
	b.at = now + b.period
}

// resetDelay leaves the answer to a reboot command time to go out.
const resetDelay = 200 * time.Millisecond

// stepReset asks for the reset that a command ordered.
func (k *Kubelet) stepReset(now time.Duration) {
	if !k.resetting || now < k.resetAt {
		return
	}
	if k.storing.due {
		k.store(now)
	}
	k.out.Reset = true
	k.resetAt = never
}

func (k *Kubelet) resetWake() time.Duration {
	if !k.resetting {
		return never
	}
	return k.resetAt
}

// command is the body of POST /pico/command.
type command struct {
	name     [16]byte
	value    [8]byte
	nameLen  int
	valueLen int
	pin      int
	count    int
	interval int // milliseconds

	scan   jsonstream.Scanner
	key    [16]byte // of the member that is being read
	keyLen int
}

// Limits of a command.
const (
	maxBlinks        = 100
	minBlinkInterval = 20    // milliseconds
	maxBlinkInterval = 10000 // milliseconds
)

// parse reads a flat JSON object. It reports whether it is one whose members are
// known and of the right type.
func (c *command) parse(body []byte) bool {
	*c = command{pin: -1, count: 3, interval: 200}
	c.scan.Reset()
	for len(body) > 0 {
		tok, n, err := c.scan.Next(body)
		body = body[n:]
		switch {
		case err != nil || tok.More || tok.Depth > 1:
			return false
		case tok.Kind == jsonstream.NeedMore:
		case tok.Kind == jsonstream.Key:
			c.keyLen = copy(c.key[:], tok.Text)
		case tok.Kind == jsonstream.BeginObject || tok.Kind == jsonstream.EndObject:
		case tok.Depth != 1 || !c.set(tok):
			return false
		}
	}
	_, err := c.scan.Finish()
	return err == nil
}

// set takes the value of a member.
func (c *command) set(tok jsonstream.Token) bool {
	switch text.View(c.key[:c.keyLen]) {
	case "command":
		c.nameLen = copy(c.name[:], tok.Text)
		return tok.Kind == jsonstream.String && len(tok.Text) <= len(c.name)
	case "value":
		c.valueLen = copy(c.value[:], tok.Text)
		return tok.Kind == jsonstream.String && len(tok.Text) <= len(c.value)
	case "pin":
		return number(tok, &c.pin)
	case "count":
		return number(tok, &c.count)
	case "interval_ms":
		return number(tok, &c.interval)
	}
	return false
}

// number takes a whole number of at most nine digits.
func number(tok jsonstream.Token, v *int) bool {
	if tok.Kind != jsonstream.Number || len(tok.Text) > 9 {
		return false
	}
	*v = 0
	for _, d := range tok.Text {
		if !isDigit(d) {
			return false
		}
		*v = *v*10 + int(d-'0')
	}
	return true
}

const commandHelp = `want {"command":"blink_led","count":3,"interval_ms":200}, {"command":"set_pin","pin":2,"value":"HIGH"} or {"command":"reboot"}`

// runCommand answers POST /pico/command.
func (k *Kubelet) runCommand(now time.Duration, r *httpserver.Request, w *httpserver.Response) {
	c := &k.command
	if !c.parse(r.Body) {
		refuse(w, commandHelp)
		return
	}
	switch text.View(c.name[:c.nameLen]) {
	case "blink_led":
		k.blinkLED(now, c, w)
	case "set_pin":
		k.commandPin(now, c, w)
	case "reboot":
		k.reboot(now, w)
	case "report_status": // of a gateway that has found the Node deleted
		k.statusChanged()
		k.commandDone(now, "report_status", w)
	default:
		refuse(w, commandHelp)
	}
}

func refuse(w *httpserver.Response, why string) {
	httpserver.WriteStatus(w, 400, httpserver.Reason(400), why)
}

func (k *Kubelet) blinkLED(now time.Duration, c *command, w *httpserver.Response) {
	switch {
	case k.config.Board.LED == nil:
		refuse(w, "the board has no LED")
	case c.count < 1 || c.count > maxBlinks:
		refuse(w, "count must be 1 to 100")
	case c.interval < minBlinkInterval || c.interval > maxBlinkInterval:
		refuse(w, "interval_ms must be 20 to 10000")
	default:
		k.startBlink(now, 2*c.count, time.Duration(c.interval)*time.Millisecond)
		k.commandDone(now, "blink_led", w)
	}
}

// startBlink makes the LED blink, also in place of another blink.
func (k *Kubelet) startBlink(now time.Duration, changes int, period time.Duration) {
	b := &k.blinking
	if b.left == 0 {
		b.after = k.config.Board.LED.LED()
	}
	b.left, b.period, b.at = uint16(changes), period, now
}

func (k *Kubelet) commandPin(now time.Duration, c *command, w *httpserver.Response) {
	state, why := configmap.ParsePinState(c.value[:c.valueLen])
	if c.pin < 0 {
		refuse(w, "pin must be a number")
		return
	}
	if why != configmap.ReasonNone {
		refuse(w, why.String())
		return
	}
	if err := k.setPin(c.pin, state); err != nil {
		refuse(w, err.Error())
		return
	}
	k.commandDone(now, "set_pin", w)
}

func (k *Kubelet) reboot(now time.Duration, w *httpserver.Response) {
	if !k.resetting {
		k.resetting, k.resetAt = true, now+resetDelay
		k.statusAt = now // says that the node is about to be not ready
	}
	k.commandDone(now, "reboot", w)
}

func (k *Kubelet) commandDone(now time.Duration, name string, w *httpserver.Response) {
	k.Record(now, logring.Info, "Command carried out").Str("command", name).End()
	httpserver.WriteStatus(w, 200, "", name)
}
