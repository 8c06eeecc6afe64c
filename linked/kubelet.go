// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked

import (
	"errors"
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/link/noise"
)

const (
	// farewellTime bounds how long the last words of a link may take.
	farewellTime = time.Second

	carrier = kubelet.StreamAPI // the one stream that the driver sees
)

// ErrKubelet: Config.Kubelet is missing. Other errors of New are those of package
// noise.
var ErrKubelet = errors.New("linked: Kubelet: bring one that is configured")

// Config says which kubelet runs over which link.
type Config struct {
	Kubelet *kubelet.Kubelet // Required: configured

	Key        noise.Key       // Required: the board's
	GatewayKey noise.PublicKey // Required
	Hello      noise.Hello     // Required
	Random     noise.Random    // Required: asked for 32 bytes a handshake
	Memory     []byte          // Required: of received data, noise.BufferSize bytes on a board
	Idle       time.Duration   // Optional [15s]: see noise.Config

	// Optional [none]: a newer key of the gateway. It is tried first, in turn with
	// GatewayKey.
	NextKey noise.PublicKey

	// Optional [keys are not learned]: keeps GatewayKey and NextKey for the next
	// boot, whole or not at all. It is called when the gateway has announced a key, at
	// most once a minute.
	StoreKeys func(gatewayKey, nextKey noise.PublicKey) error
}

// Kubelet is a kubelet over a link. Make it by New. Its methods are those of
// kubelet.Kubelet, of which only the differences are told here.
type Kubelet struct {
	k       *kubelet.Kubelet
	config  noise.Config
	link    noise.Link
	phase   phase
	up      bool          // as was told in the log
	until   time.Duration // for the last words
	pause   pause
	keys    gatewayKeys
	out     kubelet.Output
	streams [kubelet.NumStreams]stream

	kubeletWake time.Duration
	resetting   bool
}

// phase is where the connection of the link stands.
type phase uint8

const (
	off     phase = iota
	dialing       // asked for
	open          // the link has been started
	closing       // the link has ended, its last words are pending
)

// stream is one of the kubelet's streams.
type stream struct {
	use    use
	link   noise.Stream // carries it, if it is carried
	finish bool         // close it when all is sent
}

type use uint8

const (
	free use = iota
	wanted
	carried
)

// New returns k over a link that is down.
func New(c Config) (*Kubelet, error) {
	if c.Kubelet == nil {
		return nil, ErrKubelet
	}
	l := &Kubelet{k: c.Kubelet, config: noise.Config{
		Role: noise.Board, Key: c.Key, GatewayKey: c.GatewayKey, Hello: c.Hello, Random: c.Random,
		Receive: noise.Buffers(c.Memory), Idle: c.Idle,
	}, keys: gatewayKeys{known: c.GatewayKey, next: c.NextKey, store: c.StoreKeys}}
	if err := l.link.Configure(l.config); err != nil {
		return nil, err
	}
	return l, nil
}

// Start begins at now.
func (l *Kubelet) Start(now time.Duration) {
	l.k.Start(now)
	l.settle(now)
}

// Tick lets time pass until now.
func (l *Kubelet) Tick(now time.Duration) {
	if l.phase == open {
		l.link.Tick(now)
	}
	if l.phase == closing && now >= l.until {
		l.out.Close |= 1 << carrier
		l.phase = off
	}
	if now >= l.kubeletWake {
		l.k.Tick(now)
	}
	l.settle(now)
}

// Opened tells that the connection stands. The handshake's first message takes three
// operations with keys, see noise.Link.
func (l *Kubelet) Opened(now time.Duration, s kubelet.Stream) {
	if s != carrier || l.phase != dialing {
		return
	}
	l.phase = open
	l.config.GatewayKey = l.keys.try()
	_ = l.link.Configure(l.config) // New has tried it
	l.link.Start(now)
	l.settle(now)
}

// Closed tells that the connection is gone.
func (l *Kubelet) Closed(now time.Duration, s kubelet.Stream, cause error) {
	if s != carrier {
		return
	}
	switch l.phase {
	case dialing:
		l.phase = off
		l.failStreams(now, wanted, cause)
	case open:
		l.link.PeerClosed(now)
		l.ended(now)
		l.phase, l.out.Finish = off, 0
	case closing:
		l.phase = off
	}
	l.settle(now)
}

// Receive takes bytes of the connection: all of them.
func (l *Kubelet) Receive(now time.Duration, s kubelet.Stream, p []byte) int {
	if s == carrier && l.phase == open {
		l.link.Receive(now, p)
		l.settle(now)
	}
	return len(p)
}

// Accept refuses: clients of the kubelet port come through the link.
func (l *Kubelet) Accept(time.Duration) (s kubelet.Stream, ok bool) { return 0, false }

// Pending is what is to be sent on the connection.
func (l *Kubelet) Pending(s kubelet.Stream) []byte {
	if s != carrier || l.phase < open {
		return nil
	}
	return l.link.Pending()
}

// Sent tells that the first n bytes of Pending were sent.
func (l *Kubelet) Sent(now time.Duration, s kubelet.Stream, n int) {
	if s == carrier && l.phase >= open {
		l.link.Sent(now, n)
		l.settle(now)
	}
}

// SetAddress tells the board's own IP address.
func (l *Kubelet) SetAddress(now time.Duration, ip string) {
	l.k.SetAddress(now, ip)
	l.settle(now)
}

// Record begins a record of the kubelet's log.
func (l *Kubelet) Record(now time.Duration, level logring.Level, message string) *logring.Record {
	return l.k.Record(now, level, message)
}

// Log is the kubelet's.
func (l *Kubelet) Log() *logring.Ring { return l.k.Log() }

// Output is what must be done after the inputs since it was last called.
func (l *Kubelet) Output() kubelet.Output {
	out := l.out
	l.out = kubelet.Output{}
	if len(l.Pending(carrier)) > 0 {
		out.Send |= 1 << carrier
	}
	out.Reset = l.resetting
	out.Wake = l.kubeletWake
	switch l.phase {
	case off:
		if l.waiting() {
			out.Wake = min(out.Wake, l.pause.until)
		}
	case open:
		out.Wake = min(out.Wake, l.link.Output().Wake)
	case closing:
		out.Wake = min(out.Wake, l.until)
	}
	return out
}

// waiting reports whether the pause keeps a stream from the kubelet that it wants.
func (l *Kubelet) waiting() bool {
	for s := range l.streams {
		if l.streams[s].use == wanted {
			return !l.resetting
		}
	}
	return false
}
