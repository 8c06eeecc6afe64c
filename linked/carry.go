// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked

import (
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/link/noise"
)

// settle follows every input: it lets kubelet and link act on each other, one
// input at a time, until neither has anything more to say.
func (l *Kubelet) settle(now time.Duration) {
	for {
		l.obey(now)
		l.look(now)
		if !l.open(now) && !l.send(now) && !l.deliver(now) {
			break
		}
	}
	if l.resetting && l.phase == open && l.quiet() {
		l.link.End(now, noise.EndShutdown)
	}
}

// look notes what has become of the link.
func (l *Kubelet) look(now time.Duration) {
	switch {
	case l.phase != open:
	case l.link.Err() != nil:
		l.ended(now)
		l.obey(now)
	case l.link.Up() && !l.up:
		l.up, l.pause = true, pause{}
		l.k.Record(now, logring.Info, "Link is up").End()
		l.k.Reconnected(now)
	case l.up:
		l.learn(now)
	}
}

// quiet tells whether the kubelet has nothing more to send.
func (l *Kubelet) quiet() bool {
	for s := range l.streams {
		if l.streams[s].use == carried && len(l.k.Pending(kubelet.Stream(s))) > 0 {
			return false
		}
	}
	return true
}

// obey does what the kubelet's Output says, in the order of its fields, as far as
// it is not about sending.
func (l *Kubelet) obey(now time.Duration) {
	out := l.k.Output()
	for s := range l.streams {
		bit := kubelet.Stream(s)
		if out.Close.Has(bit) {
			l.drop(bit)
		}
		if out.Dial.Has(bit) {
			l.drop(bit)
			l.streams[s].use = wanted
		}
		l.streams[s].finish = l.streams[s].finish || out.Finish.Has(bit)
	}
	l.resetting = l.resetting || out.Reset
	l.kubeletWake = out.Wake
}

// drop gives up a stream, and what is under way on it.
func (l *Kubelet) drop(s kubelet.Stream) {
	if c := &l.streams[s]; c.use == carried {
		l.link.Reset(c.link)
	}
	l.streams[s] = stream{}
}

// closed ends a stream and tells the kubelet.
func (l *Kubelet) closed(now time.Duration, s kubelet.Stream, cause error) {
	if c := &l.streams[s]; c.use == carried {
		l.link.Close(c.link)
	}
	l.streams[s] = stream{}
	l.k.Closed(now, s, cause)
}

// open opens one of the streams that the kubelet wants, or the connection for them.
// It tells whether the kubelet got an input.
func (l *Kubelet) open(now time.Duration) bool {
	for i := range l.streams {
		s := kubelet.Stream(i)
		if l.streams[s].use != wanted {
			continue
		}
		switch {
		case l.phase == off && l.resetting:
		case l.phase == off && now < l.pause.until: // Output.Wake is when it ends
		case l.phase == off:
			l.phase = dialing
			l.out.Dial |= 1 << carrier
		case l.phase == open && l.link.Up():
			if l.link.Open(noise.Stream(s)) {
				l.streams[s] = stream{use: carried, link: noise.Stream(s)}
				l.k.Opened(now, s)
				return true
			}
		}
	}
	return false
}

// send gives the link what the kubelet has to send on one stream, the one whose turn
// it is, or closes one that is done. It tells whether the kubelet got an input.
func (l *Kubelet) send(now time.Duration) bool {
	if l.phase != open {
		return false
	}
	out := l.link.Output()
	for i := range noise.Stream(noise.NumStreams) {
		at := (out.Turn + i) % noise.NumStreams
		s, ok := l.carriedBy(at)
		if !ok {
			continue
		}
		p := l.k.Pending(s)
		if len(p) == 0 && l.streams[s].finish {
			l.closed(now, s, nil)
			return true
		}
		if !out.Writable.Has(at) {
			continue
		}
		if n := l.link.Send(now, at, p); n > 0 {
			l.k.Sent(now, s, n)
			return true
		}
	}
	return false
}

// deliver gives the kubelet what has come on one stream, a client of its port, or
// the end of a stream. It tells whether the kubelet got an input.
func (l *Kubelet) deliver(now time.Duration) bool {
	if l.phase != open {
		return false
	}
	out := l.link.Output()
	if out.Offered {
		l.accept(now)
		return true
	}
	for at := range noise.Stream(noise.NumStreams) {
		s, ok := l.carriedBy(at)
		if !ok {
			continue
		}
		if out.Data.Has(at) {
			p := l.link.Data(at)
			n := l.k.Receive(now, s, p)
			l.link.Consumed(at, n)
			if n > 0 {
				return true
			}
			continue
		}
		switch {
		case out.Finished.Has(at):
			l.closed(now, s, nil)
			return true
		case out.Reset.Has(at):
			l.closed(now, s, noise.ErrStreamReset)
			return true
		}
	}
	return false
}

// accept gives the kubelet a client of its port. The kubelet may drop an idle one
// for it.
func (l *Kubelet) accept(now time.Duration) {
	at, ok := l.link.Accept()
	if !ok {
		return
	}
	s, ok := l.k.Accept(now)
	if !ok {
		l.link.Reset(at)
		return
	}
	l.drop(s)
	l.streams[s] = stream{use: carried, link: at}
}

// carriedBy returns the kubelet's stream that a stream of the link carries.
func (l *Kubelet) carriedBy(at noise.Stream) (s kubelet.Stream, ok bool) {
	for i := range l.streams {
		if c := &l.streams[i]; c.use == carried && c.link == at {
			return kubelet.Stream(i), true
		}
	}
	return 0, false
}

// ended ends all streams with the link, and lets its last words be sent. Streams that
// are wanted stay so: when the link is tried again, its pause alone says.
func (l *Kubelet) ended(now time.Duration) {
	why := l.link.Err()
	l.tell(now, why)
	l.keys.ended(l.up, why)
	l.up = false
	l.pause.fail(now, why, &l.link, l.config.Random)
	l.phase, l.until = closing, now+farewellTime
	l.out.Finish |= 1 << carrier
	l.failStreams(now, carried, why)
}

func (l *Kubelet) tell(now time.Duration, why error) {
	level, message := logring.Warn, "Link has ended"
	switch {
	case why == noise.ErrClosed:
		level = logring.Info
	case !l.up:
		message = "Link cannot be made"
	}
	rec := l.k.Record(now, level, message).Err(why)
	switch why {
	case noise.ErrRefused:
		rec.Str("reason", l.link.Refusal())
	case noise.ErrEnded:
		rec.Str("reason", l.link.Reason().String())
	}
	rec.End()
}

// failStreams ends the kubelet's streams that are in this use or further.
func (l *Kubelet) failStreams(now time.Duration, least use, cause error) {
	for s := range l.streams {
		if l.streams[s].use >= least {
			l.streams[s] = stream{}
			l.k.Closed(now, kubelet.Stream(s), cause)
		}
	}
}
