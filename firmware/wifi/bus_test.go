// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/soypat/cyw43439/whd"
)

// wire is a chip that has frames waiting, and keeps what it is sent.
type wire struct {
	frames   [][]byte
	sent     [][]uint32
	register uint32
	status   uint32 // beside that of frames
	err      error
}

var _ Wire = (*wire)(nil)

func (w *wire) CmdRead(cmd uint32, words []uint32) error {
	if w.err != nil {
		return w.err
	}
	if cmd&^sizeMask != readFrame {
		words[len(words)-1] = w.register
		return nil
	}
	if int(cmd&sizeMask) != len(w.frames[0]) {
		return errors.New("a frame must be read as long as it is")
	}
	copy(octets(words), w.frames[0])
	w.frames = w.frames[1:]
	return nil
}

func (w *wire) CmdWrite(_ uint32, words []uint32) error {
	w.sent = append(w.sent, append([]uint32(nil), words...))
	return w.err
}

func (w *wire) LastStatus() uint32 {
	if len(w.frames) == 0 {
		return w.status
	}
	return w.status | statusFrame | uint32(len(w.frames[0]))<<statusSize
}

// frame is a frame of the chip.
func frame(channel byte, body ...byte) []byte {
	n := uint16(whd.SDPCM_HEADER_LEN + len(body))
	p := binary.LittleEndian.AppendUint16(nil, n)
	p = binary.LittleEndian.AppendUint16(p, ^n)
	return append(append(p, 7, channel, 0, whd.SDPCM_HEADER_LEN, 0, 42, 0, 0), body...)
}

// answerTo is the answer to a control request, which claims n bytes of data.
func answerTo(command, n uint32, data ...byte) []byte {
	body := binary.LittleEndian.AppendUint32(nil, command)
	body = binary.LittleEndian.AppendUint32(body, n)
	return frame(channelControl, append(append(body, make([]byte, 8)...), data...)...)
}

// eventFrame is an event as the chip sends it.
func eventFrame(e Event) []byte {
	body := append([]byte{0x20, 0, 0, 0}, make([]byte, 12)...)
	body = append(body, 0x88, 0x6c, 0x80, 0x01, 0, 48, 0, 0x00, 0x10, 0x18, 0, 1, 0, 2)
	body = binary.BigEndian.AppendUint16(body, e.Flags)
	for _, v := range []uint32{uint32(e.Type), e.Status, e.Reason} {
		body = binary.BigEndian.AppendUint32(body, v)
	}
	return frame(channelEvent, append(body, make([]byte, 32)...)...)
}

// request is a control request as the driver writes it.
func request(command uint32) []uint32 {
	words := make([]uint32, 8)
	words[cdcCommand] = command
	return words
}

// read reads the next frame as the driver does: as long as the status says.
func read(b *bus) ([]byte, error) {
	n := frameWaits(b.LastStatus())
	words := make([]uint32, 512)
	err := b.CmdRead(readFrame|n, words[:(n+3)/4])
	return octets(words)[:n], err
}

func newBus(frames ...[]byte) (*bus, *wire, *[]Event) {
	var events []Event
	w := &wire{frames: frames}
	return &bus{wire: w, tell: func(e Event) { events = append(events, e) }}, w, &events
}

func TestEventsAreTold(t *testing.T) {
	t.Parallel()
	want := []Event{wrongKey, linkUp, {Type: whd.EvSET_SSID, Status: 3, Reason: 0x01020304, Flags: 0x0506}}
	b, _, events := newBus(eventFrame(want[0]), eventFrame(want[1]), frame(channelData, make([]byte, 60)...), eventFrame(want[2]))
	for range 4 {
		if _, err := read(b); err != nil {
			t.Fatal(err)
		}
	}
	if len(*events) != 3 || (*events)[0] != want[0] || (*events)[1] != want[1] || (*events)[2] != want[2] {
		t.Errorf("told %+v, want %+v", *events, want)
	}
	if b.frames != 4 {
		t.Errorf("%d frames counted, want 4", b.frames)
	}
}

func TestAHeaderAloneBecomesAnEmptyEvent(t *testing.T) {
	t.Parallel()
	for name, channel := range map[string]byte{"control": channelControl, "event": channelEvent, "data": channelData} {
		b, _, events := newBus(frame(channel))
		p, err := read(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h := whd.DecodeSDPCMHeader(binary.LittleEndian, p)
		body, err := h.Parse(p)
		if err != nil || h.Type() != whd.ASYNCEVENT_HEADER || h.BusDataCredit != 42 || len(body) < whd.BDC_HEADER_LEN+1 {
			t.Errorf("%s: header %+v, %d bytes of body, %v", name, h, len(body), err)
		}
		if len(*events) != 0 {
			t.Errorf("%s: told %+v", name, *events)
		}
	}
}

func TestBrokenFramesAreRefused(t *testing.T) {
	t.Parallel()
	change := func(at int, v byte) []byte {
		p := frame(channelData, make([]byte, 30)...)
		p[at] = v
		return p
	}
	for name, p := range map[string][]byte{
		"size":                       change(0, 41),
		"complement":                 change(2, 0),
		"header longer than frame":   change(sdpcmHeader, 43),
		"header shorter than header": change(sdpcmHeader, 11),
		"data without its header":    change(sdpcmHeader, 40),
		"control without its header": frame(channelControl, make([]byte, 15)...),
		"less than a header":         frame(channelData)[:11],
		"nothing but zeros":          make([]byte, 64),
	} {
		b, _, _ := newBus(p)
		if _, err := read(b); err != errFrame {
			t.Errorf("%s: %v, want errFrame", name, err)
		}
	}
}

// TestNoFrameIsReadPastItsEnd gives every length of every kind of frame, with the
// largest numbers in its headers.
func TestNoFrameIsReadPastItsEnd(t *testing.T) {
	t.Parallel()
	for _, channel := range []byte{channelControl, channelEvent, channelData, 3, 15} {
		for n := range 120 {
			body := make([]byte, n)
			for i := range body {
				body[i] = 0xff
			}
			b, _, _ := newBus(frame(channel, body...))
			_, _ = read(b)
		}
	}
}

func TestAnAnswerClaimsNoMoreThanItHas(t *testing.T) {
	t.Parallel()
	b, _, _ := newBus(answerTo(127, 5000, 1, 2, 3, 4))
	p, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := whd.DecodeCDCHeader(binary.LittleEndian, p[whd.SDPCM_HEADER_LEN:]).Length; got != 4 {
		t.Errorf("the answer claims %d bytes, want 4", got)
	}
}

func TestTheWaitForJoiningIsEnded(t *testing.T) {
	t.Parallel()
	b, w, events := newBus()
	b.join = preparing
	w.frames = append(w.frames, answerTo(263, 0), eventFrame(linkLost))
	_ = b.CmdWrite(writeFrame|32, request(263))
	for range 2 { // answers to requests before, and events of the network before
		if _, err := read(b); err != nil {
			t.Fatal(err)
		}
	}
	if len(*events) != 0 {
		t.Errorf("told %+v of the network that was", *events)
	}
	_ = b.CmdWrite(writeFrame|32, request(wlcSetSSID))
	if frameWaits(b.LastStatus()) != 0 {
		t.Error("the wait ends before the chip has answered")
	}
	w.frames = append(w.frames, answerTo(wlcSetSSID, 0))
	if _, err := read(b); err != nil {
		t.Fatal(err)
	}
	if _, err := read(b); err != errAsked {
		t.Errorf("then %v, want errAsked", err)
	}
	if n := frameWaits(b.LastStatus()); n != 0 {
		t.Errorf("afterwards a frame of %d bytes seems to wait", n)
	}
}

// The wait ends even if frames of the network come faster than they can be read.
func TestAFloodDoesNotKeepTheWaitForJoining(t *testing.T) {
	t.Parallel()
	b, w, events := newBus()
	b.join = preparing
	_ = b.CmdWrite(writeFrame|32, request(wlcSetSSID))
	flood := frame(channelData, make([]byte, 60)...)
	w.frames = append(w.frames, flood, answerTo(wlcSetSSID, 0), eventFrame(keysAgreed), flood)
	for range 2 {
		if _, err := read(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(b); err != errAsked {
		t.Errorf("%v, want errAsked", err)
	}
	if _, err := read(b); err != nil || len(*events) != 1 || (*events)[0] != keysAgreed || len(w.frames) != 1 {
		t.Errorf("afterwards told %+v, %d frames left, %v", *events, len(w.frames), err)
	}
}

func TestTheWaitForTheClockIsEnded(t *testing.T) {
	t.Parallel()
	b, w, _ := newBus()
	reads := func() (n int) {
		for words := make([]uint32, 2); words[1]&whd.SBSDIO_ALP_AVAIL == 0 && n < 2*maxClockless; n++ {
			words[1] = 0
			if err := b.CmdRead(readClock, words); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for range 2 { // each start of the chip has its own
		if n := reads(); n != maxClockless {
			t.Errorf("ended after %d reads, want %d", n, maxClockless)
		}
	}
	w.register = whd.SBSDIO_ALP_AVAIL
	if n := reads(); n != 1 {
		t.Errorf("a clock that is there is seen after %d reads", n)
	}
}

func TestTheSignalIsAskedForInPlaceOfPowerManagement(t *testing.T) {
	t.Parallel()
	b, w, _ := newBus()
	b.askRSSI = true
	_ = b.CmdWrite(writeFrame|32, request(wlcGetPowerManagement))
	_ = b.CmdWrite(writeFrame|32, request(wlcSetSSID))
	b.askRSSI = false
	_ = b.CmdWrite(writeFrame|32, request(wlcGetPowerManagement))
	for i, want := range []uint32{wlcGetRSSI, wlcSetSSID, wlcGetPowerManagement} {
		if got := w.sent[i][cdcCommand]; got != want {
			t.Errorf("request %d asks for %d, want %d", i, got, want)
		}
	}
}

func TestFramesForTheNetworkPassUnchanged(t *testing.T) {
	t.Parallel()
	b, w, _ := newBus()
	b.askRSSI = true
	words := request(wlcGetPowerManagement)
	octets(words)[sdpcmChannel] = channelData
	_ = b.CmdWrite(writeFrame|32, words)
	if w.sent[0][cdcCommand] != wlcGetPowerManagement {
		t.Error("a word of an Ethernet frame was changed")
	}
}

// TestRegistersPassUnchanged: the first commands have their halves exchanged, and
// their bits are then those of another function.
func TestRegistersPassUnchanged(t *testing.T) {
	t.Parallel()
	b, w, _ := newBus(frame(channelData))
	w.register = 0xfeedbead
	for _, cmd := range []uint32{0xa004_4000, 0x4000_a004, 1<<30 | 1<<28 | 4} {
		words := make([]uint32, 2)
		if err := b.CmdRead(cmd, words); err != nil || words[1] != w.register {
			t.Errorf("command %#x reads %#x, %v", cmd, words[1], err)
		}
	}
}

func TestErrorsOfTheWirePass(t *testing.T) {
	t.Parallel()
	b, w, _ := newBus(frame(channelData, make([]byte, 60)...))
	w.err = errBus
	if _, err := read(b); err != errBus {
		t.Errorf("%v, want that of the wire", err)
	}
	if b.frames != 0 {
		t.Error("a frame that could not be read was counted")
	}
}

func TestReadingAFrameTakesNoMemory(t *testing.T) {
	e, d := eventFrame(linkUp), frame(channelData, make([]byte, 60)...)
	w := &wire{}
	b := &bus{wire: w, tell: func(Event) {}}
	words, frames := make([]uint32, 512), make([][]byte, 2)
	if n := testing.AllocsPerRun(100, func() {
		frames[0], frames[1] = e, d
		for w.frames = frames; len(w.frames) > 0; {
			n := frameWaits(b.LastStatus())
			if err := b.CmdRead(readFrame|n, words[:(n+3)/4]); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(channelData, make([]byte, 60)...))
	f.Add(eventFrame(wrongKey))
	f.Add(answerTo(26, 0))
	f.Add(frame(channelControl))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 || len(p) > sizeMask {
			return
		}
		b, _, _ := newBus(p)
		got, err := read(b)
		if err != nil {
			return
		}
		// What passes can be read by the driver without a look at its length.
		h := whd.DecodeSDPCMHeader(binary.LittleEndian, got)
		body, err := h.Parse(got)
		if err != nil {
			t.Fatalf("%x: %v", got, err)
		}
		if h.Type() == whd.CONTROL_HEADER {
			if n := whd.DecodeCDCHeader(binary.LittleEndian, body).Length; int(n) > len(body)-whd.CDC_HEADER_LEN {
				t.Fatalf("%x claims %d bytes", got, n)
			}
		}
		if h.Type() == whd.DATA_HEADER {
			whd.DecodeBDCHeader(body)
		}
	})
}
