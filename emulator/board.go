// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emulator runs Pico W firmware without a board: the very image that a person
// would flash, on an emulated RP2040 with an emulated CYW43439 Wi-Fi chip, joined to
// an Ethernet segment of package segment.
//
// The emulator itself is JavaScript, in the files beside this package; each board is
// a Node.js process of its own, which ends with this one. README.md says what is
// modelled and what is not: both chips are written from what datasheets, drivers and
// SDKs say, so what runs here has run on an emulated Pico W, no more.
//
// The package looks at a board from outside, as a person with a serial cable, a
// multimeter and an access point could; it knows nothing of the firmware, and it emulates
// no other board.
package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/picolet/picolet/emulator/segment"
)

// Pace is how emulated time goes with the host's.
type Pace string

// Paces. The emulated processor runs at about 0.4 of a board's speed; what differs
// is how its sleep passes.
const (
	// PaceFree: as fast as the host can; sleep is skipped. A time-out of the guest can
	// pass before a peer on the host has answered.
	PaceFree Pace = "free"
	// PaceHost: never faster than the host's time. For measuring what takes part in
	// the host's time, and for whatever happens there meanwhile, a server's restart
	// say.
	PaceHost Pace = "host"
	// PaceAnswered: like PaceFree, but like PaceHost while the segment owes the board
	// something, as segment.Station says. No time-out passes that would not pass on
	// a board, if the peers answer within segment.Config.AnswerLimit; an idle hour
	// takes a minute.
	PaceAnswered Pace = "answered"
	// PaceStopped: no time passes.
	PaceStopped Pace = "stopped"
)

// Link is how transfers between processor and Wi-Fi chip are carried.
type Link string

// Links.
const (
	LinkWord Link = "word" // quick; knows the shape of the drivers' PIO programs
	LinkPin  Link = "pin"  // each edge counts; any program works
)

const (
	defaultSSID        = "picolet"
	defaultPassphrase  = "emulated network"
	defaultWaitTimeout = 3 * time.Minute
	maxImage           = 6 << 20 // bytes; a UF2 of the whole flash has 4 MiB
)

var (
	defaultUniqueID = [8]byte{0xe6, 0x61, 1, 2, 3, 4, 5, 6}
	defaultMAC      = [6]byte{0x02, 0xca, 0xfe, 0, 0, 2}
)

// Security is how a Wi-Fi network with a passphrase lets boards in.
type Security string

// Ways in: by WPA2, by either, by WPA3 alone.
const (
	WPA2     Security = "wpa2"
	WPA2WPA3 Security = "wpa2-wpa3"
	WPA3     Security = "wpa3"
)

// Config describes a board.
type Config struct {
	// Images are UF2, ELF or raw images, written to flash one after another as if
	// dropped on the board. At least one. Required.
	Images [][]byte
	// SSID is the name of the only Wi-Fi network in reach. Optional ["picolet"].
	SSID string
	// Passphrase is its passphrase. Optional ["emulated network"].
	Passphrase string
	// Security is how it lets boards in. Optional [WPA2].
	Security Security
	// OpenNetwork takes the passphrase away. Optional [false].
	OpenNetwork bool
	// Segment is what the access point is joined to. Optional [nothing].
	Segment *segment.Segment
	// Pace is how emulated time goes. Optional [PaceAnswered with a segment, else
	// PaceFree].
	Pace Pace
	// Link is how the Wi-Fi chip is reached. Optional [LinkWord].
	Link Link
	// Seed decides all that is random: RAM after power-on, the ring oscillator, the
	// air. Optional [1].
	Seed int32
	// UniqueID is the flash chip's, MAC the Wi-Fi chip's: boards that share a segment
	// need different ones. Optional [e6 61 01 02 03 04 05 06; 02:ca:fe:00:00:02].
	UniqueID [8]byte
	MAC      [6]byte
	// Console takes what the board says on UART0. It must not block. Optional.
	Console io.Writer
	// WaitTimeout is the host's time that a Wait may take. Optional [3 min].
	WaitTimeout time.Duration
	// Logger is told what the emulator notices. Optional [nothing is logged].
	Logger *slog.Logger
	// Install says where the emulator is kept. Optional.
	Install InstallOptions
}

func (c Config) withDefaults() Config {
	setDefault(&c.SSID, defaultSSID)
	setDefault(&c.Passphrase, defaultPassphrase)
	setDefault(&c.Security, WPA2)
	if c.OpenNetwork {
		c.Passphrase = ""
	}
	if c.Segment != nil {
		setDefault(&c.Pace, PaceAnswered)
	}
	setDefault(&c.Pace, PaceFree)
	setDefault(&c.Link, LinkWord)
	setDefault(&c.Seed, 1)
	setDefault(&c.UniqueID, defaultUniqueID)
	setDefault(&c.MAC, defaultMAC)
	setDefault(&c.WaitTimeout, defaultWaitTimeout)
	setDefault(&c.Logger, slog.New(slog.DiscardHandler))
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	if len(c.Images) == 0 {
		return errors.New("boot: no image given; build one with `make firmware`")
	}
	for i, image := range c.Images {
		if len(image) > maxImage {
			return fmt.Errorf("boot: image %d has %d bytes, more than a board's flash takes", i, len(image))
		}
	}
	if c.WaitTimeout < 0 {
		return fmt.Errorf("boot: WaitTimeout %s is negative", c.WaitTimeout)
	}
	return nil
}

// Board is an emulated Pico W. Its methods may be called by several goroutines; those
// that take a context ask its process, which answers within milliseconds.
type Board struct {
	config  Config
	process *process
	net     Net
	console Console

	mu      sync.Mutex
	state   State
	halt    *HaltError
	waiters []*waiter
}

// Boot makes a board, writes its images to flash and turns it on. ctx bounds that
// alone: Close ends the board. The error wraps ErrNoNode if Node.js or npm is missing.
func Boot(ctx context.Context, c Config) (*Board, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	in, err := Install(ctx, c.Install)
	if err != nil {
		return nil, err
	}
	b := &Board{config: c}
	b.console = Console{board: b, log: c.Console}
	b.net.init(b)
	if b.process, err = startProcess(in, b.handle); err != nil {
		return nil, err
	}
	if err := b.boot(ctx); err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Board) boot(ctx context.Context) error {
	c := b.config
	create := command{"name": "create", "config": map[string]any{
		"ssid": []byte(c.SSID), "passphrase": c.Passphrase, "security": c.Security, "link": c.Link, "pace": c.Pace, "seed": c.Seed,
		"uniqueId": numbers(c.UniqueID[:]), "mac": numbers(c.MAC[:]), "network": c.Segment != nil,
	}}
	if err := b.ask(ctx, create, nil); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	b.net.attach(c.Segment)
	for i, image := range c.Images {
		if err := b.LoadFlash(ctx, image); err != nil {
			return fmt.Errorf("boot: image %d: %w", i, err)
		}
	}
	return b.PowerOn(ctx)
}

// numbers is bytes as JSON shows an array.
func numbers(b []byte) []int {
	all := make([]int, len(b))
	for i, v := range b {
		all[i] = int(v)
	}
	return all
}

// Close takes the board off its segment and ends its process.
func (b *Board) Close() error {
	b.net.detach()
	b.process.stop()
	return nil
}

// Done is closed when the board's process has ended, by Close or by itself.
func (b *Board) Done() <-chan struct{} { return b.process.done }

// Err says why the process has ended. It is nil while it runs, and after Close.
func (b *Board) Err() error {
	select {
	case <-b.process.done:
		if err := b.process.failure(); !errors.Is(err, errClosed) {
			return err
		}
	default:
	}
	return nil
}

// Console is the board's serial console.
func (b *Board) Console() *Console { return &b.console }

// Net is the board's network, as seen from the host.
func (b *Board) Net() *Net { return &b.net }

// command is what the process is asked; "name" says which one.
type command map[string]any

// ask gives the process a command and stores what it tells in told, unless nil.
func (b *Board) ask(ctx context.Context, c command, told any) error {
	a, err := b.process.call(ctx, c, nil)
	if err != nil || told == nil {
		return err
	}
	return json.Unmarshal(a.Told, told)
}

// do is a command that tells nothing.
func (b *Board) do(ctx context.Context, what string, c command) error {
	return failed(what, b.ask(ctx, c, nil))
}

// failed says what could not be done, if err is not nil.
func failed(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// PowerOn turns the board on: RAM is random, flash is as it was. It does the same to
// a board that runs.
func (b *Board) PowerOn(ctx context.Context) error {
	return b.do(ctx, "turn the board on", command{"name": "powerOn"})
}

// PressReset pulls the RUN pin low and lets it go.
func (b *Board) PressReset(ctx context.Context) error {
	return b.do(ctx, "reset the board", command{"name": "pressReset"})
}

// Phase is how far the flash operation gets at which power is cut.
type Phase string

// Phases.
const (
	Before Phase = "before"
	During Phase = "during" // some bits have changed
	After  Phase = "after"
)

// Cut says where the supply fails.
type Cut struct {
	// Operation is 1 for the next erase of a sector or program of a page, and so on.
	// Optional [0: now].
	Operation int
	// Phase is how far that operation gets. Optional [During].
	Phase Phase
	// Seed decides which bits have changed. Optional [1].
	Seed int32
}

// PowerCut cuts the supply, now or at a flash operation to come. PowerOn brings it
// back; flash is kept.
func (b *Board) PowerCut(ctx context.Context, c Cut) error {
	if c.Operation == 0 {
		return b.do(ctx, "cut the power", command{"name": "powerOff"})
	}
	setDefault(&c.Phase, During)
	setDefault(&c.Seed, 1)
	cut := map[string]any{"operation": c.Operation, "phase": c.Phase, "seed": c.Seed}
	return b.do(ctx, "cut the power", command{"name": "cutPower", "cut": cut})
}

// SetPace changes how emulated time goes from now on.
func (b *Board) SetPace(ctx context.Context, p Pace) error {
	return b.do(ctx, "set the pace", command{"name": "pace", "pace": p})
}

// DrivePin drives an input from outside, over resets.
func (b *Board) DrivePin(ctx context.Context, n int, high bool) error {
	if n < 0 || n >= NumPins {
		return fmt.Errorf("drive pin %d: pins are 0 to %d", n, NumPins-1)
	}
	return b.do(ctx, "drive a pin", command{"name": "drivePin", "pin": n, "level": high})
}

// SetADC sets the reading of an ADC channel, 0 to 4, to value, 0 to 4095 for 0 to 3.3 V.
// Channel 4 is the temperature sensor: 0.706 V at 27 °C, 1.721 mV less a degree.
func (b *Board) SetADC(ctx context.Context, channel, value int) error {
	if channel < 0 || channel > 4 || value < 0 || value > 4095 {
		return fmt.Errorf("set ADC channel %d to %d: channels are 0 to 4, values 0 to 4095", channel, value)
	}
	return b.do(ctx, "set the ADC", command{"name": "setAdc", "channel": channel, "value": value})
}

// LoadFlash writes a UF2, ELF or raw image as dropping it on the board does: sectors that
// it touches are erased, the others kept. The board must be without power, or
// halted. A bad image changes nothing.
func (b *Board) LoadFlash(ctx context.Context, image []byte) error {
	_, err := b.process.call(ctx, command{"name": "loadFlash"}, image)
	return failed("load flash", err)
}

// ReadFlash returns n bytes of the flash from offset.
func (b *Board) ReadFlash(ctx context.Context, offset, n int) ([]byte, error) {
	a, err := b.process.call(ctx, command{"name": "readFlash", "offset": offset, "length": n}, nil)
	if err == nil && len(a.attached) != n {
		err = fmt.Errorf("%d bytes at %d are not all in flash", n, offset)
	}
	return a.attached, failed("read flash", err)
}

// FlashWear returns how often each sector of 4096 bytes has been erased.
func (b *Board) FlashWear(ctx context.Context) ([]uint32, error) {
	var told struct {
		Wear []uint32 `json:"wear"`
	}
	err := b.ask(ctx, command{"name": "flashWear"}, &told)
	return told.Wear, failed("read the flash's wear", err)
}

// Touched is a part of RAM: the lowest and the highest address of a byte that has
// changed since power-on, both 0 if none has.
type Touched struct{ Lowest, Highest uint32 }

// TouchedRAM tells how much of the RAM from address from up to, but not including, to
// has been used since power-on: the high-water marks of stack and heap.
func (b *Board) TouchedRAM(ctx context.Context, from, to uint32) (Touched, error) {
	var told Touched
	if from < sramBase || to > sramEnd || from >= to {
		return told, fmt.Errorf("touched RAM: 0x%x to 0x%x is not in RAM, 0x%x to 0x%x", from, to, sramBase, sramEnd)
	}
	err := b.ask(ctx, command{"name": "touchedSram", "from": from, "to": to}, &told)
	return told, failed("touched RAM", err)
}

const (
	sramBase = 0x20000000
	sramEnd  = 0x20042000
)

// Stats are counters of a board since it was made.
type Stats struct {
	Now             time.Duration `json:"-"`      // emulated
	Cycles          float64       `json:"cycles"` // that the processor has run
	ClockHertz      float64       `json:"clockHertz"`
	FlashOperations int           `json:"flashOperations"`
	Wifi            WifiStats     `json:"wifi"`
	// Violations are rules of the Wi-Fi chip's bus that the driver broke, the first
	// hundred of them.
	Violations []string `json:"violations"`
}

// WifiStats are counters of the Wi-Fi chip. Frames and bytes are those of Ethernet,
// without check sequence.
type WifiStats struct {
	Transfers       int `json:"transfers"` // on the bus
	Words           int `json:"words"`
	ControlRequests int `json:"controlRequests"`
	FramesSent      int `json:"framesSent"` // by the board
	BytesSent       int `json:"bytesSent"`
	FramesReceived  int `json:"framesReceived"`
	BytesReceived   int `json:"bytesReceived"`
	FramesDropped   int `json:"framesDropped"` // on their way to the board
}

// Stats reads the counters.
func (b *Board) Stats(ctx context.Context) (Stats, error) {
	var told Stats
	if err := b.ask(ctx, command{"name": "stats"}, &told); err != nil {
		return told, failed("read the counters", err)
	}
	told.Now = b.State().Now
	return told, nil
}
