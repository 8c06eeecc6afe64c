// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/soypat/cyw43439/whd"
)

// Wire carries the commands of gSPI, the chip's bus.
type Wire interface {
	// CmdRead sends a command and reads words.
	CmdRead(cmd uint32, words []uint32) error
	// CmdWrite sends a command and words.
	CmdWrite(cmd uint32, words []uint32) error
	// LastStatus is the status word that came with the last command.
	LastStatus() uint32
}

// Errors of the bus.
var (
	// errAsked ends the driver's wait for the outcome of joining: no failure.
	errAsked = errors.New("the chip has been asked to join")
	// errFrame is the error of a frame whose header contradicts itself. One is
	// noise; the chip loses its power when they do not end.
	errFrame = errors.New("the Wi-Fi chip sent a broken frame")
)

// bus is the wire as the driver sees it. What the driver lacks or gets wrong is
// mended here, where every frame passes:
//
//   - It does not say whether it received anything, nor why joining failed: frames are
//     counted, and events told.
//   - It waits up to 10 s for the outcome of joining, longer than the hardware's watchdog:
//     the wait is ended by an error as soon as the chip has taken the request.
//   - It refuses frames that are a header alone, with the credit to send in it: they get an
//     empty event as a body, which it ignores after it took the credit.
//   - It trusts lengths in headers, and an index out of range ends the program: they are checked.
//   - It refuses to ask for the signal's strength: the question for the power
//     management mode is changed into that.
//   - It waits for ever for the first clock of a chip that has been powered: in the end
//     it is told that there is one, and fails at the next step.
type bus struct {
	wire      Wire
	tell      func(Event)
	frames    uint32 // received whole since the beginning
	clockless uint16 // times in a row that the chip had no clock
	join      joinStep
	askRSSI   bool
}

// maxClockless is how often the chip's clock is asked for, once in a millisecond. It
// needs less than one.
const maxClockless = 250

// joinStep is how far a request to join has come.
type joinStep uint8

const (
	notAsking joinStep = iota
	preparing          // the driver sets the network's parameters
	asked              // the request is on its way
	taken              // the chip has confirmed it
)

// A gSPI command: write, increment, function, address, size; CYW43439 datasheet, 4.2.
// Frames are those of function 2 at address 0. Before the bus is set to 32 bits
// the driver sends halves exchanged, which look like neither.
const (
	sizeMask   = 1<<11 - 1
	readFrame  = 1<<30 | 2<<28
	writeFrame = 1<<31 | readFrame
	readClock  = 1<<30 | 1<<28 | whd.SDIO_CHIP_CLOCK_CSR<<11 | 1 // SDIO_CHIP_CLOCK_CSR of function 1
)

// The status word: bit 8 says that a frame waits, bits 9-19 how long it is.
const (
	statusFrame = 1 << 8
	statusSize  = 9
)

// An SDPCM frame: size, its complement, sequence, channel, next length, length of the
// header, flow control, credit; struct sdpcm_header_t of georgerobotics/cyw43-driver.
const (
	sdpcmChannel = 5
	sdpcmHeader  = 7

	channelControl = 0
	channelEvent   = 1
	channelData    = 2

	// smallestFrame is the least that the driver takes.
	smallestFrame = whd.SDPCM_HEADER_LEN + whd.BDC_HEADER_LEN + 4
	// cdcCommand is the word of a control request that says what is wanted.
	cdcCommand = whd.SDPCM_HEADER_LEN / 4
	// cdcLength is where the length of the data is in a control frame's body.
	cdcLength = 4

	wlcGetPowerManagement = uint32(whd.WLC_GET_PM)
	wlcSetSSID            = uint32(whd.WLC_SET_SSID)
	wlcGetRSSI            = 127
)

// frameWaits is the size of the frame that waits in the chip, 0 for none.
func frameWaits(status uint32) uint32 {
	if status&statusFrame == 0 {
		return 0
	}
	return status >> statusSize & sizeMask
}

// LastStatus is that of the wire. The driver reads a frame when it says that one waits.
func (b *bus) LastStatus() uint32 {
	status := b.wire.LastStatus()
	size := frameWaits(status)
	if size >= smallestFrame || size == 0 && b.join != taken {
		return status
	}
	return status&^(sizeMask<<statusSize) | statusFrame | smallestFrame<<statusSize
}

// CmdRead reads registers, memory or a frame.
func (b *bus) CmdRead(cmd uint32, words []uint32) error {
	if cmd&^sizeMask != readFrame {
		err := b.wire.CmdRead(cmd, words)
		if cmd == readClock {
			b.sawClock(&words[len(words)-1])
		}
		return err
	}
	if b.join == taken { // frames that wait are read afterwards: they might never end
		b.join = notAsking
		return errAsked
	}
	size := frameWaits(b.wire.LastStatus())
	if size < whd.SDPCM_HEADER_LEN || size > uint32(4*len(words)) {
		return errFrame
	}
	if err := b.wire.CmdRead(readFrame|size, words[:(size+3)/4]); err != nil {
		return err
	}
	err := b.received(octets(words), int(size))
	if err == nil {
		b.frames++
	}
	return err
}

// sawClock looks at the register of the chip's clocks, and ends a wait that is too long.
func (b *bus) sawClock(register *uint32) {
	b.clockless++
	if b.clockless >= maxClockless {
		*register |= whd.SBSDIO_ALP_AVAIL
	}
	if *register&(whd.SBSDIO_ALP_AVAIL|whd.SBSDIO_HT_AVAIL) != 0 {
		b.clockless = 0
	}
}

// received checks a frame of n bytes, and takes from it what the driver does not tell.
func (b *bus) received(p []byte, n int) error {
	size, complement := binary.LittleEndian.Uint16(p), binary.LittleEndian.Uint16(p[2:])
	header := int(p[sdpcmHeader])
	if int(size) != n || size != ^complement || header < whd.SDPCM_HEADER_LEN || header > n {
		return errFrame
	}
	if n < smallestFrame {
		padCredit(p)
		return nil
	}
	body := p[header:n]
	switch p[sdpcmChannel] & 0xf {
	case channelControl:
		return b.answered(body)
	case channelEvent:
		// Before the request, events are still about the network that was.
		if e, ok := parseEvent(body); ok && b.join != preparing {
			b.tell(e)
		}
	case channelData:
		if len(body) < whd.BDC_HEADER_LEN {
			return errFrame
		}
	}
	return nil
}

// padCredit makes an event out of a header alone.
func padCredit(p []byte) {
	clear(p[whd.SDPCM_HEADER_LEN:smallestFrame])
	binary.LittleEndian.PutUint16(p, smallestFrame)
	binary.LittleEndian.PutUint16(p[2:], ^uint16(smallestFrame))
	p[sdpcmChannel], p[sdpcmHeader] = channelEvent, whd.SDPCM_HEADER_LEN
}

// answered checks the answer to a control request.
func (b *bus) answered(body []byte) error {
	if len(body) < whd.CDC_HEADER_LEN {
		return errFrame
	}
	if room := uint32(len(body) - whd.CDC_HEADER_LEN); binary.LittleEndian.Uint32(body[cdcLength:]) > room {
		binary.LittleEndian.PutUint32(body[cdcLength:], room)
	}
	if b.join == asked && binary.LittleEndian.Uint32(body) == wlcSetSSID {
		b.join = taken
	}
	return nil
}

// CmdWrite writes registers, memory or a frame.
func (b *bus) CmdWrite(cmd uint32, words []uint32) error {
	if cmd&^sizeMask == writeFrame && len(words) > cdcCommand && octets(words)[sdpcmChannel] == channelControl {
		switch {
		case b.join == preparing && words[cdcCommand] == wlcSetSSID:
			b.join = asked
		case b.askRSSI && words[cdcCommand] == wlcGetPowerManagement:
			words[cdcCommand] = wlcGetRSSI
		}
	}
	return b.wire.CmdWrite(cmd, words)
}

// octets is the memory of words. All boards, and the hosts of their tests, are little-endian.
func octets(words []uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}
