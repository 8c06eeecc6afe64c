// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"math"
	"time"

	"github.com/flynn/noise"
)

// Times and limits of a link.
const (
	// HandshakeTime bounds what passes from Start until the link is up, the
	// gateway's decision on the board included.
	HandshakeTime = 10 * time.Second
	// StallTime is how long a connection may take no byte of what is pending.
	StallTime = 30 * time.Second
	// DefaultIdle is the default of Config.Idle.
	DefaultIdle = 15 * time.Second
	// MinIdle is its least value.
	MinIdle = time.Second

	// rekeyFrames and rekeyTime: after which a direction gets a new key.
	rekeyFrames = 1 << 16
	rekeyTime   = time.Hour

	minWindow = 64
	maxWindow = math.MaxUint16

	// never is a time that does not come.
	never = time.Duration(math.MaxInt64)
)

// Config is what a link must know before it starts.
type Config struct {
	Role Role // Required
	Key  Key  // Required: the own key pair
	// Optional of a gateway: further key pairs by which boards may know it, at most
	// MaxGatewayKeys with Key.
	MoreKeys []Key
	Random   Random // Required: asked for 32 bytes a handshake

	GatewayKey PublicKey // Required of a board
	Hello      Hello     // Required of a board

	// Required: for each stream, the memory for what has arrived and is not
	// yet read, 64 to 65535 bytes. Buffers makes them of one piece.
	Receive [NumStreams][]byte

	// Optional [15s]: the silence after which the peer is asked for a sign of
	// life. After three times as long the link ends. At least MinIdle; both
	// ends should have the same.
	Idle time.Duration
}

// BufferSize is what a board gives to Buffers. With it the link of a board takes
// less than 6 KiB in all.
const BufferSize = 2880

// Buffers divides memory, 768 to 196 000 bytes, into receive buffers: a quarter
// for stream 0, where the answers of the API server come in, and a twelfth for each
// other.
func Buffers(memory []byte) [NumStreams][]byte {
	var buffers [NumStreams][]byte
	share := min(len(memory)/(NumStreams+2), maxWindow/3)
	for i := range buffers {
		size := share
		if i == 0 {
			size = 3 * share
		}
		buffers[i], memory = memory[:size:size], memory[size:]
	}
	return buffers
}

// state is how far a link has come.
type state uint8

const (
	stopped      state = iota
	awaitFirst         // gateway: the board's handshake message
	awaitSecond        // board: the gateway's
	awaitHello         // gateway: the board's first frame
	asking             // gateway: Admit or Refuse
	awaitVerdict       // board: the gateway's
	up
	ending   // up, and an End is due
	flushing // the last bytes are pending
	ended
)

// Link is one end of a connection. It must be configured and started before
// anything else, and may be so again for the next connection. It is not safe for
// use by several goroutines. Times are since boot, and never go back.
type Link struct {
	conversation

	in  [lengthSize + maxFrame]byte
	out [lengthSize + maxFrame]byte
}

// conversation is all of a Link that a new connection starts afresh.
type conversation struct {
	role   Role
	state  state
	reason Reason
	turn   Stream
	delay  uint8 // of an End or Refuse, in seconds; 0: none

	ping, pong, rekey bool // records that are due

	keys   announcing
	peer   PublicKey
	key    Key
	more   []Key
	hello  Hello
	random Random
	idle   time.Duration

	handshake *noise.HandshakeState // nil: done
	tx, rx    half
	err       error
	farewell  error // becomes err when the last bytes are sent
	refusal   string

	now     time.Duration // of the last input
	started time.Duration
	heard   time.Duration // when the last frame came in
	pinged  time.Duration // when the last Ping was due; not before heard
	moved   time.Duration // when the connection last took bytes, or had none to take
	rekeyed time.Duration

	streams [NumStreams]stream

	inLen, want      int // bytes in the buffer in, and how many are wanted
	outStart, outEnd int // what is pending in the buffer out
}

// Configure prepares a link for Start. It keeps c's buffers and strings. The errors
// are ErrConfig, ErrHello and ErrKey.
func (l *Link) Configure(c Config) error {
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
	if err := c.validate(); err != nil {
		return err
	}
	l.conversation = conversation{
		role: c.Role, key: c.Key, more: c.MoreKeys, random: c.Random, idle: c.Idle,
		want: lengthSize, turn: NumStreams - 1,
	}
	if c.Role == Board {
		l.peer, l.hello = c.GatewayKey, c.Hello
	}
	for i, buf := range c.Receive {
		l.streams[i].received.buf = buf
	}
	return nil
}

func (c *Config) validate() error {
	if c.Role != Board && c.Role != Gateway || c.Random == nil || c.Idle < MinIdle || c.Idle > never/8 {
		return ErrConfig
	}
	for _, buf := range c.Receive {
		if len(buf) < minWindow || len(buf) > maxWindow {
			return ErrConfig
		}
	}
	if c.Key.private == nil {
		return ErrKey
	}
	if c.Role == Gateway {
		return c.validateKeys()
	}
	if c.GatewayKey == (PublicKey{}) {
		return ErrKey
	}
	if !c.Hello.valid() {
		return ErrHello
	}
	return nil
}

func (c *Config) validateKeys() error {
	if len(c.MoreKeys) >= MaxGatewayKeys {
		return ErrConfig
	}
	for _, k := range c.MoreKeys {
		if k.private == nil {
			return ErrKey
		}
	}
	return nil
}

// Start begins the handshake on a connection that was just opened. On a board that
// takes three operations with keys, and the answer to it two more: on an RP2040 a
// tenth of a second each.
func (l *Link) Start(now time.Duration) {
	l.now, l.started, l.heard, l.pinged, l.moved, l.rekeyed = now, now, now, now, now, now
	if l.role == Gateway {
		l.state = awaitFirst
		return
	}
	l.state = awaitSecond
	err := l.shake()
	if err == nil {
		err = l.writeHandshake()
	}
	if err != nil {
		l.fail(err)
	}
}

// reading tells whether bytes of the connection are wanted.
func (l *Link) reading() bool {
	return l.state >= awaitFirst && l.state <= up && l.state != asking
}

// fail ends the link at once: nothing is pending any more.
func (l *Link) fail(err error) {
	l.end(err)
	l.outStart, l.outEnd = 0, 0
}

// end ends the link. What is pending should still be sent.
func (l *Link) end(err error) {
	if l.state == ended {
		return
	}
	l.state, l.err, l.handshake = ended, err, nil
	for i := range l.streams {
		l.streams[i].drop()
	}
}

// End closes the link in order: the peer gets to know why, after all that was sent
// before. The driver writes what is Pending until Err is ErrClosed, within a time
// of its own.
func (l *Link) End(now time.Duration, why Reason) {
	l.now = now
	switch l.state {
	case up:
		l.state, l.reason, l.farewell = ending, why, ErrClosed
	case ending, flushing, ended:
	default:
		l.fail(ErrClosed) // before it is up there is nothing to say it with
	}
}

// PeerClosed tells that the connection ended or broke.
func (l *Link) PeerClosed(now time.Duration) {
	l.now = now
	switch {
	case l.farewell != nil:
		l.fail(l.farewell)
	case l.state < up:
		l.fail(ErrHandshakeCut)
	default:
		l.fail(ErrTruncated)
	}
}

// Asking tells a gateway that a board has proved its key and waits for Admit or
// Refuse. Peer and Hello tell who it is.
func (l *Link) Asking() bool { return l.state == asking }

// Peer is the peer's public key. A gateway must not use it before Asking.
func (l *Link) Peer() PublicKey { return l.peer }

// Hello is what the board says of itself. A gateway must not use it before Asking.
func (l *Link) Hello() Hello { return l.hello }

// Admit lets the board in that is Asking: the link is up.
func (l *Link) Admit(now time.Duration) {
	l.now = now
	if l.state == asking {
		l.seal(l.appendWindows(append(l.plain(), record(recordAdmit, 0))))
		l.state, l.heard, l.pinged = up, now, now
	}
}

// Refuse turns the board away that is Asking. It logs the reason, of which
// MaxRefusal bytes of printable ASCII are sent. Err is ErrRefused when all is
// sent.
func (l *Link) Refuse(now time.Duration, reason string) {
	l.now = now
	if l.state == asking {
		l.seal(l.appendDelay(text(append(l.plain(), record(recordRefuse, 0)), l.refusable(reason))))
		l.state, l.farewell = flushing, ErrRefused
	}
}

// Up tells whether streams can be used.
func (l *Link) Up() bool { return l.state == up }

// Err tells why the link has ended, nil while it has not. After the end, write what
// is Pending, as far as the connection takes it at once, and close the connection.
func (l *Link) Err() error { return l.err }

// Reason is what the peer's End said.
func (l *Link) Reason() Reason { return l.reason }

// Refusal is the gateway's text after ErrRefused, printable ASCII.
func (l *Link) Refusal() string { return l.refusal }

// Tick is to be called at Wake, and may be called at any time.
func (l *Link) Tick(now time.Duration) {
	l.now = now
	switch {
	case l.state == stopped || l.state == ended:
	case now >= l.stallAt():
		l.fail(ErrStalled)
	case l.state < up:
		if now >= l.started+HandshakeTime {
			l.fail(ErrHandshakeTimeout)
		}
	case now >= l.heard+3*l.idle:
		l.fail(ErrSilent)
	case l.state == up:
		l.tickUp()
	}
}

func (l *Link) tickUp() {
	if l.now >= l.pingAt() {
		l.ping, l.pinged, l.keys.asked = true, l.now, true
	}
	if l.now >= l.rekeyed+rekeyTime {
		l.rekey = true
	}
}

// pingAt is when the next Ping is due. The board is first; its Ping spares the
// gateway's.
func (l *Link) pingAt() time.Duration {
	if l.role == Gateway {
		return l.pinged + l.idle + l.idle/4
	}
	return l.pinged + l.idle
}

func (l *Link) stallAt() time.Duration {
	if l.outEnd == 0 {
		return never
	}
	return l.moved + StallTime
}

// wake is when Tick is next due.
func (l *Link) wake() time.Duration {
	switch {
	case l.state == stopped || l.state == ended:
		return never
	case l.state < up:
		return min(l.stallAt(), l.started+HandshakeTime)
	case l.state > up || l.rekey:
		return min(l.stallAt(), l.heard+3*l.idle)
	}
	return min(l.stallAt(), l.heard+3*l.idle, l.pingAt(), l.rekeyed+rekeyTime)
}
