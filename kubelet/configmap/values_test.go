// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/quote"
)

func TestValues(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, key, value, want string }{
		{"hexadecimal", "memory_values", "0=0x42,1=0x43", "0=66 1=67 entries=2 rejected=0 ignored=0"},
		{"both bases, both sides", "memory_values", "0x3FF=255,1022=0XfF", "1022=255 1023=255 entries=2 rejected=0 ignored=0"},
		{"leading zeros are decimal", "memory_values", "010=010", "10=10 entries=1 rejected=0 ignored=0"},
		{"white space", "memory_values", "\t 1 \r\v=\f 2 ,3=4 \r\n", "1=2 3=4 entries=2 rejected=0 ignored=0"},
		{"newlines and empty entries", "memory_values", "\n1=2,\n,3=4\n5=6\n\n", "1=2 3=4 5=6 entries=3 rejected=0 ignored=0"},
		{"trailing comma", "memory_values", "1=2,", "1=2 entries=1 rejected=0 ignored=0"},
		{"empty", "memory_values", "", nothing},
		{"last one wins", "memory_values", "1=2,1=3", "1=3 entries=2 rejected=0 ignored=0"},
		{"zero is written", "memory_values", "1=0", "1=0 entries=1 rejected=0 ignored=0"},
		{"bounds", "memory_values", "1023=255,1024=1,1=256,0x400=0x100", "1023=255 entries=1 rejected=3 ignored=0" +
			"\n\tmemory_values \"1024=1\": address out of range 0-1023" +
			"\n\tmemory_values \"1=256\": value out of range 0-255" +
			"\n\tmemory_values \"0x400=0x100\": address out of range 0-1023"},
		{"wrap around 32 bits", "memory_values", "4294967296=1,1=0x100000000", "entries=0 rejected=2 ignored=0" +
			"\n\tmemory_values \"4294967296=1\": address out of range 0-1023" +
			"\n\tmemory_values \"1=0x100000000\": value out of range 0-255"},
		{"no numbers", "memory_values", "x=1,1=,=1,-1=1,1=+1,1 2=3,0x=1,1=2=3,1=1e1,=", "entries=0 rejected=10 ignored=0" +
			"\n\tmemory_values \"x=1\": not a number, want decimal or 0x hexadecimal" +
			"\n\tmemory_values \"1=\": not a number, want decimal or 0x hexadecimal" +
			"\n\tmemory_values \"=1\": not a number, want decimal or 0x hexadecimal" +
			"\n\tmemory_values \"-1=1\": not a number, want decimal or 0x hexadecimal"},
		{"no value", "memory_values", "12", "entries=0 rejected=1 ignored=0" +
			"\n\tmemory_values \"12\": no value, want address=value"},
		{"longest", "memory_values", "0x00000000001 = 00000002", "1=2 entries=1 rejected=0 ignored=0"},
		{"too long", "memory_values", "0x00000000001 = 000000002,3=4", "3=4 entries=1 rejected=1 ignored=0" +
			"\n\tmemory_values \"0x00000000001 = 00000000\": entry too long, want at most 24 bytes"},
		{"cut at a character", "memory_values", "aaaaaaaaaaaaaaaaaaaaaa\u20ac", "entries=0 rejected=1 ignored=0" +
			"\n\tmemory_values \"aaaaaaaaaaaaaaaaaaaaaa\": entry too long, want at most 24 bytes"},
		{"control characters", "memory_values", "\x00\x1b[31m", "entries=0 rejected=1 ignored=0" +
			"\n\tmemory_values \"\\x00\\x1b[31m\": no value, want address=value"},

		{"high", "pin_0", "HIGH", "pin_0=HIGH entries=1 rejected=0 ignored=0"},
		{"low", "pin_31", " low\n", "pin_31=LOW entries=1 rejected=0 ignored=0"},
		{"off", "pin_7", "PWM:0", "pin_7=PWM:0 entries=1 rejected=0 ignored=0"},
		{"full", "pin_7", "pwm:255", "pin_7=PWM:255 entries=1 rejected=0 ignored=0"},
		{"PWM overflow", "pin_7", "PWM:256", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7 \"PWM:256\": duty cycle out of range, want PWM:0-255"},
		{"PWM nothing", "pin_7", "PWM:", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7 \"PWM:\": duty cycle out of range, want PWM:0-255"},
		{"mixed case", "pin_7", "High", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7 \"High\": unknown pin mode, want HIGH, LOW or PWM:0-255"},
		{"two modes", "pin_7", "HIGH,LOW", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7 \"HIGH,LOW\": unknown pin mode, want HIGH, LOW or PWM:0-255"},
		{"two lines", "pin_7", "HIGH\nLOW", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7 \"HIGH LOW\": unknown pin mode, want HIGH, LOW or PWM:0-255"},
		{"no mode", "pin_7", "", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7: unknown pin mode, want HIGH, LOW or PWM:0-255"},
		{"pin too long", "pin_7", "PWM:00000000000000000000001", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_7 \"PWM:00000000000000000000\": entry too long, want at most 24 bytes"},

		{"LED on", "led", " HIGH\n", "led=true entries=1 rejected=0 ignored=0"},
		{"LED off", "led", "low", "led=false entries=1 rejected=0 ignored=0"},
		{"LED with PWM", "led", "PWM:7", "entries=0 rejected=1 ignored=0" +
			"\n\tled \"PWM:7\": unknown LED state, want HIGH or LOW"},
		{"LED as a quoted boolean", "led", "on", "entries=0 rejected=1 ignored=0" +
			"\n\tled \"on\": unknown LED state, want HIGH or LOW"},
		{"LED without a value", "led", "", "entries=0 rejected=1 ignored=0" +
			"\n\tled: unknown LED state, want HIGH or LOW"},
		{"LED too long", "led", strings.Repeat("x", 25), "entries=0 rejected=1 ignored=0" +
			"\n\tled \"xxxxxxxxxxxxxxxxxxxxxxxx\": entry too long, want at most 24 bytes"},
		{"another LED", "led_1", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"LED in capitals", "LED", "HIGH", "entries=0 rejected=1 ignored=0\n\tLED: no such key, want led"},

		{"pin 32", "pin_32", "HIGH", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_32: no such key, want pin_0 to pin_31"},
		{"leading zero", "pin_01", "HIGH", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_01: no such key, want pin_0 to pin_31"},
		{"pin of 40 digits", "pin_" + strings.Repeat("1", 40), "HIGH", "entries=0 rejected=1 ignored=0" +
			"\n\tpin_" + strings.Repeat("1", 28) + ": no such key, want pin_0 to pin_31"},
		{"no pin number", "pin_", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"somebody else's", "pin_map", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"singular", "memory_value", "1=2", "entries=0 rejected=1 ignored=0\n\tmemory_value: no such key, want memory_values"},
		{"camel case", "memoryValues", "1=2", "entries=0 rejected=1 ignored=0\n\tmemoryValues: no such key, want memory_values"},
		{"prefix", "memory_val", "1=2", "entries=0 rejected=0 ignored=1"},
		{"another memory", "memory_limit", "1", "entries=0 rejected=0 ignored=1"},
		{"longer", "memory_values2", "1=2", "entries=0 rejected=0 ignored=1"},
		{"upper case key", "PIN_1", "HIGH", "entries=0 rejected=1 ignored=0\n\tPIN_1: no such key, want pin_1"},
		{"no separator", "pin15", "HIGH", "entries=0 rejected=1 ignored=0\n\tpin15: no such key, want pin_15"},
		{"capital letter", "Pin_2", "HIGH", "entries=0 rejected=1 ignored=0\n\tPin_2: no such key, want pin_2"},
		{"another separator", "pin-2", "HIGH", "entries=0 rejected=1 ignored=0\n\tpin-2: no such key, want pin_2"},
		{"as on the pinout", "GP31", "HIGH", "entries=0 rejected=1 ignored=0\n\tGP31: no such key, want pin_31"},
		{"as in a datasheet", "GPIO0", "HIGH", "entries=0 rejected=1 ignored=0\n\tGPIO0: no such key, want pin_0"},
		{"no such pin", "pin32", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"no number", "pin", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"pin of a card", "pinned.15", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"empty key", "", "HIGH", "entries=0 rejected=0 ignored=1"},
		{"key of two parts", "pin_1" + strings.Repeat("1", 300), "HIGH", "entries=0 rejected=0 ignored=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(stage(t, tt.key, tt.value)); got != tt.want {
				t.Errorf("%s: %q asks for\n%s\nwant\n%s", tt.key, tt.value, got, tt.want)
			}
		})
	}
}

// A memory_values far larger than the structure that takes it.
func TestValuesWholeRegion(t *testing.T) {
	t.Parallel()
	var value strings.Builder
	for addr := range configmap.RegionSize {
		fmt.Fprintf(&value, "0x%03x=0x%02x,\n", addr, byte(addr*7))
	}
	if value.Len() < 12<<10 {
		t.Fatalf("value has %d bytes, want at least 12 KiB", value.Len())
	}
	s := stage(t, "memory_values", value.String())
	for addr := range configmap.RegionSize {
		if v, ok := s.Byte(addr); !ok || v != byte(addr*7) {
			t.Fatalf("Byte(%d) = %d, %v, want %d", addr, v, ok, byte(addr*7))
		}
	}
	if s.Entries != configmap.RegionSize || s.Rejected != 0 {
		t.Errorf("%d entries, %d rejected", s.Entries, s.Rejected)
	}
}

func TestStagedOutOfRange(t *testing.T) {
	t.Parallel()
	var s configmap.Staged
	for _, n := range []int{-1, configmap.MaxPins, configmap.RegionSize, 1 << 30} {
		if _, ok := s.Byte(n); ok {
			t.Errorf("Byte(%d) is there", n)
		}
		if _, ok := s.Pin(n); ok {
			t.Errorf("Pin(%d) is there", n)
		}
		s.RejectPin(n, configmap.ReasonNoPin)
	}
	if s.Rejected != 0 {
		t.Errorf("rejected %d pins that were not asked for", s.Rejected)
	}
}

func TestRejectPin(t *testing.T) {
	t.Parallel()
	s := stageAll(t, "1", map[string]string{"pin_3": "PWM:9", "pin_30": "HIGH"})
	before := s.Digest()
	s.RejectPin(30, configmap.ReasonNoPin)
	s.RejectPin(30, configmap.ReasonNoPin)
	want := "pin_3=PWM:9 entries=1 rejected=1 ignored=0\n\tpin_30 \"HIGH\": the board has no such pin"
	if got := describe(s); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s.Digest() == before {
		t.Error("the digest did not change")
	}
	if r := s.Rejections()[0]; string(r.Key()) != "pin_30" || string(r.Entry()) != "HIGH" || r.Reason != configmap.ReasonNoPin {
		t.Errorf("rejection is %q, %q, %v", r.Key(), r.Entry(), r.Reason)
	}
}

func TestRejectLED(t *testing.T) {
	t.Parallel()
	s := stageAll(t, "1", map[string]string{"led": "high", "pin_30": "HIGH"})
	before := s.Digest()
	for range 2 {
		s.RejectLED(configmap.ReasonNoLED)
	}
	want := "pin_30=HIGH entries=1 rejected=1 ignored=0\n\tled \"HIGH\": the board has no LED"
	if got := describe(s); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s.Digest() == before {
		t.Error("the digest did not change")
	}
}

func TestParsePinState(t *testing.T) {
	t.Parallel()
	for _, state := range []board.PinState{{Mode: board.PinLow}, {Mode: board.PinHigh}, {Mode: board.PinPWM, Duty: 128}} {
		got, why := configmap.ParsePinState(state.AppendText(nil))
		if got != state || why != configmap.ReasonNone {
			t.Errorf("ParsePinState(%s) = %v, %v", state.AppendText(nil), got, why)
		}
	}
	if _, why := configmap.ParsePinState([]byte("FLOATING")); why != configmap.ReasonPinMode {
		t.Errorf("FLOATING: %v, want %v", why, configmap.ReasonPinMode)
	}
}

func TestReasonString(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for r := configmap.ReasonNone; r <= configmap.ReasonNoLED; r++ {
		if text := r.String(); text == "" || seen[text] || len(text) > 64 {
			t.Errorf("reason %d: %q is empty, told twice or longer than MaxRejectionText counts with", r, text)
		}
		seen[r.String()] = true
	}
	if got := configmap.Reason(255).String(); got != configmap.ReasonNone.String() {
		t.Errorf("reason 255: %q", got)
	}
}

func TestMaxRejectionText(t *testing.T) {
	t.Parallel()
	s := stage(t, "memory_values", strings.Repeat("\x01", 100))
	if n := len(s.Rejections()[0].AppendText(nil)); n > configmap.MaxRejectionText {
		t.Errorf("text of %d bytes, want at most %d", n, configmap.MaxRejectionText)
	}
}

// FuzzValues compares with a parser that splits strings.
func FuzzValues(f *testing.F) {
	for _, v := range []string{"0=0x42,1=0x43", " 1 = 2 ,\n3=4,", "1024=1,1=256", "HIGH", "pwm:12", "1=\u20ac", "0x=1", "1==2", strings.Repeat("1", 25) + "=1"} {
		f.Add("memory_values", v)
		f.Add("pin_7", v)
		f.Add("led", v)
	}
	f.Add("pin_32", "LOW")
	f.Add("other", "x")
	f.Fuzz(func(t *testing.T, key, value string) {
		key, value = strings.ToValidUTF8(key, "?"), strings.ToValidUTF8(value, "?")
		if len(value) > configmap.MaxValueBytes {
			t.Skip("refused as a whole, see TestLimits")
		}
		var want reference
		want.value(key, value)
		if got := describe(stage(t, key, value)); got != want.String() {
			t.Errorf("%q: %q asks for\n%s\nwant\n%s", key, value, got, want.String())
		}
	})
}

// reference is a Staged that may take all the memory it likes.
type reference struct {
	memory                     map[int]int
	pins                       map[int]string
	led                        string
	entries, rejected, ignored int
	rejections                 []string
}

func (r *reference) value(key, value string) {
	if key == "memory_values" {
		for _, entry := range strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == '\n' }) {
			r.byte(strings.Join(fields(entry), " "))
		}
		return
	}
	if key == "led" {
		r.setLED(strings.Join(fields(value), " "))
		return
	}
	digits, isPin := strings.CutPrefix(key, "pin_")
	if !isPin || digits == "" || strings.Trim(digits, "0123456789") != "" || len(key) > 128 {
		r.misspelled(key)
		return
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > 31 || strconv.Itoa(n) != digits {
		r.reject(key[:min(len(key), 32)], "", "no such key, want pin_0 to pin_31")
		return
	}
	r.pin(n, key, strings.Join(fields(value), " "))
}

// misspelledPin is what a key of a pin looks like without separators.
var misspelledPin = regexp.MustCompile(`^(pin|gpio|gp)(0|[12]?[1-9]|[12]0|3[01])$`)

func (r *reference) misspelled(key string) {
	plain := strings.Map(func(c rune) rune {
		switch {
		case strings.ContainsRune("-_.", c):
			return -1
		case c < 0x80:
			return unicode.ToLower(c)
		}
		return c
	}, key)
	meant := ""
	switch m := misspelledPin.FindStringSubmatch(plain); {
	case len(key) > 128:
	case m != nil:
		meant = "pin_" + m[2]
	case plain == "led":
		meant = "led"
	case plain == "memory", plain == "memoryvalue", plain == "memoryvalues":
		meant = "memory_values"
	}
	if meant == "" {
		r.ignored++
		return
	}
	r.reject(key[:min(len(key), 32)], "", "no such key, want "+meant)
}

// binary takes a key of binaryData.
func (r *reference) binary(key string) {
	if isKnown(key) {
		r.reject(key, "", "is in binaryData, want text in data")
		return
	}
	r.value(key, "")
}

func (r *reference) setLED(entry string) {
	switch {
	case len(entry) > 24:
		r.reject("led", entry, "entry too long, want at most 24 bytes")
	case entry == "HIGH", entry == "high":
		r.led = "led=true "
		r.entries++
	case entry == "LOW", entry == "low":
		r.led = "led=false "
		r.entries++
	default:
		r.reject("led", entry, "unknown LED state, want HIGH or LOW")
	}
}

// fields splits at ASCII white space only.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(" \t\n\v\f\r", c) })
}

func (r *reference) byte(entry string) {
	left, right, ok := strings.Cut(entry, "=")
	addr, errAddr := number(left)
	value, errValue := number(right)
	switch {
	case entry == "":
	case len(entry) > 24:
		r.reject("memory_values", entry, "entry too long, want at most 24 bytes")
	case !ok:
		r.reject("memory_values", entry, "no value, want address=value")
	case errAddr != nil || errValue != nil:
		r.reject("memory_values", entry, "not a number, want decimal or 0x hexadecimal")
	case addr >= 1024:
		r.reject("memory_values", entry, "address out of range 0-1023")
	case value >= 256:
		r.reject("memory_values", entry, "value out of range 0-255")
	default:
		r.entries++
		if r.memory == nil {
			r.memory = map[int]int{}
		}
		r.memory[int(addr)] = int(value)
	}
}

func (r *reference) pin(n int, key, entry string) {
	duty, isPWM := strings.CutPrefix(entry, "PWM:")
	if !isPWM {
		duty, isPWM = strings.CutPrefix(entry, "pwm:")
	}
	value, err := number(duty)
	switch {
	case len(entry) > 24:
		r.reject(key, entry, "entry too long, want at most 24 bytes")
		return
	case entry == "HIGH", entry == "high", entry == "LOW", entry == "low":
		entry = strings.ToUpper(entry)
	case !isPWM:
		r.reject(key, entry, "unknown pin mode, want HIGH, LOW or PWM:0-255")
		return
	case err != nil || value > 255 || strings.Contains(duty, " "):
		r.reject(key, entry, "duty cycle out of range, want PWM:0-255")
		return
	default:
		entry = fmt.Sprintf("PWM:%d", value)
	}
	r.entries++
	if r.pins == nil {
		r.pins = map[int]string{}
	}
	r.pins[n] = entry
}

// number parses with strconv what a value may hold, saturated.
func number(s string) (uint64, error) {
	s = strings.Trim(s, " ")
	base, digits := 10, "0123456789"
	if len(s) > 1 && (s[:2] == "0x" || s[:2] == "0X") {
		s, base, digits = s[2:], 16, "0123456789abcdefABCDEF"
	}
	n, err := strconv.ParseUint(s, base, 64)
	if errors.Is(err, strconv.ErrRange) && strings.Trim(s, digits) == "" {
		err = nil
	}
	return n, err
}

func (r *reference) reject(key, entry, why string) {
	r.rejected++
	if r.rejected > 4 {
		return
	}
	if len(entry) > 24 {
		entry = strings.ToValidUTF8(entry[:24], "")
	}
	if entry != "" {
		key += " " + string(quote.Append(nil, []byte(entry)))
	}
	r.rejections = append(r.rejections, "\n\t"+key+": "+why)
}

func (r *reference) String() string {
	var b strings.Builder
	for addr := range 1024 {
		if v, ok := r.memory[addr]; ok {
			fmt.Fprintf(&b, "%d=%d ", addr, v)
		}
	}
	for n := range 32 {
		if state, ok := r.pins[n]; ok {
			fmt.Fprintf(&b, "pin_%d=%s ", n, state)
		}
	}
	b.WriteString(r.led)
	fmt.Fprintf(&b, "entries=%d rejected=%d ignored=%d", r.entries, r.rejected, r.ignored)
	return b.String() + strings.Join(r.rejections, "")
}
