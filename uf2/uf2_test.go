// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package uf2

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func page(b byte) []byte { return bytes.Repeat([]byte{b}, payloadSize) }

func mustEncode(t testing.TB, f Family, segments ...Segment) []byte {
	t.Helper()
	file, err := Encode(f, segments...)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBytes pins a block to what the specification says of it.
func TestBytes(t *testing.T) {
	t.Parallel()
	file := mustEncode(t, RP2040, Segment{0x101fe000, append(page(0xaa), page(0xbb)...)})
	if len(file) != 2*512 {
		t.Fatalf("%d bytes", len(file))
	}
	second := file[512:]
	const head = "5546320a" + "57515d9e" + "00200000" + "00e11f10" + "00010000" + "01000000" + "02000000" + "56ff8be4"
	if got := hex.EncodeToString(second[:32]); got != head {
		t.Errorf("the block begins with %s, want %s", got, head)
	}
	if !bytes.Equal(second[32:288], page(0xbb)) || !bytes.Equal(second[288:508], make([]byte, 220)) {
		t.Error("its data are others")
	}
	if got := hex.EncodeToString(second[508:]); got != "306fb10a" {
		t.Errorf("it ends with %s", got)
	}
}

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	segments := []Segment{
		{0x10000000, append(page(1), page(2)...)},
		{0x10000300, page(3)},
		{0xffffff00, page(4)},
	}
	backwards := []Segment{segments[2], segments[1], {0x10000100, page(2)}, {0x10000000, page(1)}}
	for _, order := range [][]Segment{segments, backwards} {
		got, err := Decode(mustEncode(t, RP2040, order...), RP2040)
		if err != nil || !reflect.DeepEqual(got, segments) {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Segment{
		"empty":          {0x10000000, nil},
		"half a page":    {0x10000000, make([]byte, 128)},
		"between pages":  {0x10000080, page(0)},
		"beyond the end": {0xffffff00, make([]byte, 512)},
	} {
		if file, err := Encode(RP2040, s); !errors.Is(err, ErrSegment) || file != nil {
			t.Errorf("%s: %d bytes, %v", name, len(file), err)
		}
	}
}

// put changes a word of a block.
func put(file []byte, block, at int, word uint32) []byte {
	binary.LittleEndian.PutUint32(file[block*blockSize+at:], word)
	return file
}

// withChecksum lets block 1 bring the MD5 of length bytes at start.
func withChecksum(file []byte, start, length uint32, content []byte) []byte {
	put(file, 1, 8, flagFamily|flagChecksum)
	put(file, 1, checksumAt, start)
	put(file, 1, checksumAt+4, length)
	sum := md5.Sum(content)
	copy(file[blockSize+checksumAt+8:], sum[:])
	return file
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   error
		says   string
	}{
		"nothing":         {func([]byte) []byte { return nil }, ErrNotUF2, ""},
		"text":            {func([]byte) []byte { return []byte("node-name,ssid\n") }, ErrNotUF2, ""},
		"half a block":    {func(f []byte) []byte { return f[:len(f)-256] }, ErrTruncated, "256 bytes behind the last block"},
		"a block missing": {func(f []byte) []byte { return f[:2*blockSize] }, ErrTruncated, "2 of 3 blocks"},
		"first missing":   {func(f []byte) []byte { return f[blockSize:] }, ErrTruncated, "2 of 3 blocks"},
		"a byte slipped in": {func(f []byte) []byte {
			return append(f[:600:600], append([]byte{0}, f[600:len(f)-1]...)...)
		}, ErrDamaged, "block 1: the magic words are missing"},
		"no start":        {func(f []byte) []byte { return put(f, 1, 0, 7) }, ErrDamaged, "block 1"},
		"no second start": {func(f []byte) []byte { return put(f, 2, 4, 7) }, ErrDamaged, "block 2"},
		"no end":          {func(f []byte) []byte { return put(f, 0, endAt, 7) }, ErrDamaged, "block 0"},
		"archive":         {func(f []byte) []byte { return put(f, 0, 8, flagContainer) }, ErrArchive, "block 0"},
		"large payload":   {func(f []byte) []byte { return put(f, 1, 16, 476) }, ErrPayload, "block 1: its payload is 476 bytes"},
		"no family":       {func(f []byte) []byte { return put(put(put(f, 0, 8, 0), 1, 8, 0), 2, 8, 0) }, ErrFamily, "it is for no chip in particular, not for RP2040 (0xe48bff56)"},
		"nothing for flash": {func(f []byte) []byte {
			return put(put(put(f, 0, 8, 1), 1, 8, 1), 2, 8, 1)
		}, ErrFamily, "no block is for flash"},
		"number twice":     {func(f []byte) []byte { return put(f, 2, 20, 0) }, ErrDamaged, "number 0 is there twice"},
		"number too large": {func(f []byte) []byte { return put(f, 2, 20, 3) }, ErrDamaged, "number 3 of 3"},
		"another total":    {func(f []byte) []byte { return put(f, 2, 24, 4) }, ErrDamaged, "one of 4, others one of 3"},
		"huge total":       {func(f []byte) []byte { return put(put(put(f, 0, 24, 1<<31), 1, 24, 1<<31), 2, 24, 1<<31) }, ErrTruncated, "3 of 2147483648"},
		"address twice":    {func(f []byte) []byte { return put(f, 2, 12, 0x10000000) }, ErrDamaged, "address 0x10000000 is there twice"},
		"between pages":    {func(f []byte) []byte { return put(f, 2, 12, 0x10000080) }, ErrDamaged, "not that of a page"},
		"wrong sum":        {func(f []byte) []byte { return withChecksum(f, 0x10000000, 256, page(9)) }, ErrChecksum, "256 bytes at 0x10000000"},
		"sum of others":    {func(f []byte) []byte { return withChecksum(f, 0x10000000, 1024, page(9)) }, ErrChecksum, "are not in the file"},
		"sum before":       {func(f []byte) []byte { return withChecksum(f, 0x0ffffff0, 32, page(9)) }, ErrChecksum, "are not in the file"},
	} {
		file := mustEncode(t, RP2040, Segment{0x10000000, append(append(page(1), page(2)...), page(3)...)})
		segments, err := Decode(tc.change(file), RP2040)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || segments != nil {
			t.Errorf("%s: %d segments, %v; want %v with %q", name, len(segments), err, tc.want, tc.says)
		}
	}
}

func TestOtherFamilies(t *testing.T) {
	t.Parallel()
	other := mustEncode(t, 0xe48bff59, Segment{0x10000000, page(9)})
	_, err := Decode(other, RP2040)
	if !errors.Is(err, ErrFamily) || !strings.Contains(err.Error(), "for RP2350, Arm, secure (0xe48bff59), not for RP2040") {
		t.Errorf("%v", err)
	}
	_, err = Decode(mustEncode(t, 0x12345678, Segment{0, page(9)}), RP2040)
	if !errors.Is(err, ErrFamily) || !strings.Contains(err.Error(), "for 0x12345678,") {
		t.Errorf("%v", err)
	}
	_, err = Decode(put(append(other, mustEncode(t, 0xe48bff57, Segment{0x10ffff00, page(9)})...), 0, 16, 476), RP2040)
	if !errors.Is(err, ErrFamily) || !strings.Contains(err.Error(), "RP2350, Arm, secure (0xe48bff59) and for RP2xxx, absolute addresses (0xe48bff57), not for") {
		t.Errorf("%v", err)
	}
	mixed := append(put(other, 0, 16, 476), mustEncode(t, RP2040, Segment{0x10000000, page(1)})...)
	got, err := Decode(mixed, RP2040)
	if err != nil || len(got) != 1 || !bytes.Equal(got[0].Bytes, page(1)) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCommentsAndChecksums(t *testing.T) {
	t.Parallel()
	want := []Segment{{0x10000000, append(page(1), page(2)...)}}
	file := withChecksum(mustEncode(t, RP2040, want...), 0x10000010, 300, want[0].Bytes[0x10:0x10+300])
	comment := put(put(mustEncode(t, RP2040, Segment{0, page(7)}), 0, 8, flagNotMainFlash), 0, 16, 476)
	got, err := Decode(append(comment, file...), RP2040)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestEncodeFlash: a boot ROM, which erases by the numbers of blocks, leaves in flash
// what the file says and nothing of what was there, in whatever order blocks come.
func TestEncodeFlash(t *testing.T) {
	t.Parallel()
	segments := []Segment{
		{0x101fe000, page(3)}, {0x10000000, slices.Repeat(page(1), 17)}, {0x101ff000, page(4)}, {0x10003f00, slices.Repeat(page(2), 2)},
		{0x10000100, page(7)},
	}
	file, err := EncodeFlash(RP2040, segments...)
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]byte{}
	for _, s := range segments {
		for i, b := range s.Bytes {
			want[s.Address+uint32(i)] = b
		}
	}
	count := len(file) / blockSize
	for _, order := range [][]int{rand.New(rand.NewPCG(1, 1)).Perm(count), rand.New(rand.NewPCG(2, 2)).Perm(count)} {
		rom := bootROM{flash: map[uint32]byte{}}
		for _, s := range []uint32{0x10000000, 0x10001000, 0x10002000, 0x10003000, 0x10004000, 0x101fe000, 0x101ff000} {
			rom.used(s)
		}
		for _, i := range order {
			rom.write(file[i*blockSize : (i+1)*blockSize])
		}
		if !rom.restarts {
			t.Error("the board is not restarted")
		}
		for address, b := range rom.flash {
			if w, ok := want[address]; ok && b != w || !ok && b != 0xff && address/sectorSize != 0x10002000/sectorSize {
				t.Fatalf("%#x holds %#x", address, b)
			}
		}
	}
	if _, err := EncodeFlash(RP2040, Segment{0x10000000, nil}); !errors.Is(err, ErrSegment) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := EncodeFlash(RP2040, Segment{0xffffff00, make([]byte, 257)}); !errors.Is(err, ErrSegment) {
		t.Errorf("beyond the end: %v", err)
	}
}

// bootROM is what the ROM of an RP2040 makes of the blocks that it is given.
type bootROM struct {
	flash    map[uint32]byte
	erased   map[uint32]bool // groups of 16 block numbers
	seen     map[uint32]bool
	total    uint32
	restarts bool
}

// used fills a sector with what another file has left there.
func (r *bootROM) used(sector uint32) {
	for i := range uint32(sectorSize) {
		r.flash[sector+i] = 0x5a
	}
}

func (r *bootROM) write(block []byte) {
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(block[at:]) }
	address, number, total := word(12), word(20), word(24)
	if word(8) != flagFamily || word(16) != payloadSize || Family(word(28)) != RP2040 || r.restarts {
		return
	}
	if total != r.total {
		r.total, r.erased, r.seen = total, map[uint32]bool{}, map[uint32]bool{}
	}
	if group := number * payloadSize / sectorSize; !r.erased[group] {
		r.erased[group] = true
		for i := range uint32(sectorSize) {
			r.flash[address/sectorSize*sectorSize+i] = 0xff
		}
	}
	for i, b := range block[dataAt : dataAt+payloadSize] {
		r.flash[address+uint32(i)] &= b
	}
	r.seen[number] = true
	r.restarts = len(r.seen) == int(total)
}

// TestAgreesWithTheEmulator gives the same file to the emulated board's loader.
func TestAgreesWithTheEmulator(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Node.js is not there: apt-get install nodejs")
		}
		t.Skip("Node.js is not there")
	}
	want := []Segment{{0x10000000, append(page(1), page(2)...)}, {0x101fe000, page(3)}}
	file := filepath.Join(t.TempDir(), "image.uf2")
	if err := os.WriteFile(file, mustEncode(t, RP2040, want...), 0o600); err != nil {
		t.Fatal(err)
	}
	loader, err := filepath.Abs("../emulator/rp2040/image.js")
	if err != nil {
		t.Fatal(err)
	}
	const script = `
		const { parseImage } = await import(process.argv[1]);
		const { readFileSync } = await import('node:fs');
		const segments = parseImage(readFileSync(process.argv[2]));
		console.log(JSON.stringify(segments.map(({ offset, bytes }) => ({ offset, bytes: [...bytes].map(Number) }))));`
	out, err := exec.CommandContext(t.Context(), node, "--input-type=module", "--eval", script, "file://"+loader, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var blocks []struct {
		Offset uint32
		Bytes  []int
	}
	if err := json.Unmarshal(out, &blocks); err != nil {
		t.Fatal(err)
	}
	var flat []Segment
	for _, b := range blocks {
		s := Segment{Address: 0x10000000 + b.Offset}
		for _, c := range b.Bytes {
			s.Bytes = append(s.Bytes, byte(c))
		}
		flat = append(flat, s)
	}
	pages := []Segment{{0x10000000, page(1)}, {0x10000100, page(2)}, {0x101fe000, page(3)}}
	if !reflect.DeepEqual(flat, pages) {
		t.Errorf("the emulator loads %v", flat)
	}
}

// FuzzDecode: what is accepted can be written again, and reads the same.
func FuzzDecode(f *testing.F) {
	file := mustEncode(f, RP2040, Segment{0x10000000, append(page(1), page(2)...)}, Segment{0x101fe000, page(3)})
	f.Add(file)
	f.Add(withChecksum(bytes.Clone(file), 0x10000000, 256, page(1)))
	f.Add(append(mustEncode(f, 1, Segment{0, page(1)}), file...))
	f.Fuzz(func(t *testing.T, file []byte) {
		segments, err := Decode(file, RP2040)
		if err != nil {
			return
		}
		again, err := Decode(mustEncode(t, RP2040, segments...), RP2040)
		if err != nil || !reflect.DeepEqual(again, segments) {
			t.Errorf("read again: %v, %v", again, err)
		}
	})
}
