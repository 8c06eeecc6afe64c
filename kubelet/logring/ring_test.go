// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package logring

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func newRing(size int) *Ring {
	r := new(Ring)
	r.Configure(make([]byte, size))
	return r
}

// texts reads all records, checks that they are in order, and returns the
// text of each.
func texts(t *testing.T, r *Ring) []string {
	t.Helper()
	var all []string
	want := r.First()
	for cursor := uint64(0); ; {
		e, ok := r.Next(cursor)
		if !ok {
			break
		}
		if e.Seq != want {
			t.Fatalf("got record %d, want %d", e.Seq, want)
		}
		all = append(all, string(e.Text))
		cursor = e.Seq
		want++
	}
	if want != r.Last()+1 {
		t.Fatalf("reading stopped before record %d, the last is %d", want, r.Last())
	}
	return all
}

// checkNewest compares the ring with all records that were ever written: the
// newest must be there unharmed, and no more may have given way than a buffer
// that does not split records costs.
func checkNewest(t *testing.T, r *Ring, written []string) {
	t.Helper()
	kept := texts(t, r)
	lost := len(written) - len(kept)
	if uint64(lost) != r.Dropped() || uint64(len(written)) != r.Last() {
		t.Fatalf("Dropped() = %d, Last() = %d; %d of %d records are lost", r.Dropped(), r.Last(), lost, len(written))
	}
	used, largest := 0, 0
	for i, text := range written {
		size := headerSize + len(text)
		largest = max(largest, size)
		if i < lost {
			continue
		}
		used += size
		if kept[i-lost] != text {
			t.Fatalf("record %d is %q, want %q", i+1, kept[i-lost], text)
		}
	}
	if len(kept) == 0 || lost > 0 && used+2*largest <= len(r.buf) {
		t.Fatalf("only %d records (%d of %d bytes) kept, the largest has %d", len(kept), used, len(r.buf), largest)
	}
}

// TestWrapAround writes every sequence of five records of three sizes into
// every small buffer.
func TestWrapAround(t *testing.T) {
	t.Parallel()
	const records, sizes = 5, 3
	for size := MinBuffer; size <= 110; size++ {
		for sequence := range 243 { // sizes to the power of records
			r := newRing(size)
			var written []string
			for i, s := 0, sequence; i < records; i, s = i+1, s/sizes {
				value := strings.Repeat("v", s%sizes*((size-MinBuffer)/4))
				text := fmt.Sprintf(`msg="%d%s"`, i, value)
				r.Begin(0, 0, Info, text[5:len(text)-1]).End()
				written = append(written, text)
				checkNewest(t, r, written)
			}
		}
	}
}

// TestFieldsMoveOpenRecord lets a record grow field by field past the end of
// the buffer, from every start offset.
func TestFieldsMoveOpenRecord(t *testing.T) {
	t.Parallel()
	for offset := range 200 {
		r := newRing(256)
		pad := strings.Repeat("p", offset)
		r.Begin(0, 0, Info, pad).End()
		written := []string{`msg="` + pad + `"`}
		for i := range 20 {
			at := time.Duration(i) * time.Second
			r.Begin(at, int64(i), Level(i%4), "Grows").Str("a", "1234567").Int("b", 12345).Bytes("c", []byte("x y")).End()
			written = append(written, `msg="Grows" a=1234567 b=12345 c="x y"`)
			checkNewest(t, r, written)
			e, ok := r.Next(r.Last() - 1)
			if !ok || e.At != at || e.Unix != int64(i) || e.Level != Level(i%4) {
				t.Fatalf("offset %d: the header of record %d came back as %+v", offset, i, e)
			}
		}
	}
}

func TestCursors(t *testing.T) {
	t.Parallel()
	r := newRing(5 * (headerSize + len(`msg="n"`)))
	if _, ok := r.Next(0); ok || r.First() != 1 || r.Last() != 0 {
		t.Fatalf("an empty ring: First() = %d, Last() = %d, record %v", r.First(), r.Last(), ok)
	}
	for range 12 {
		r.Begin(0, 0, Info, "n").End()
	}
	for _, tc := range []struct{ cursor, want uint64 }{
		{0, 8}, {3, 8}, {7, 8}, {8, 9}, {11, 12}, {12, 0}, {13, 0}, {math.MaxUint64, 0},
	} {
		e, ok := r.Next(tc.cursor)
		if ok != (tc.want != 0) || e.Seq != tc.want {
			t.Errorf("Next(%d) = record %d, %v; want %d", tc.cursor, e.Seq, ok, tc.want)
		}
	}
	if r.First() != 8 || r.Last() != 12 || r.Dropped() != 7 {
		t.Errorf("First() = %d, Last() = %d, Dropped() = %d", r.First(), r.Last(), r.Dropped())
	}
}

func TestOpenRecordIsNotReadable(t *testing.T) {
	t.Parallel()
	r := newRing(1024)
	first := r.Begin(0, 0, Info, "First")
	if got := texts(t, r); len(got) != 0 {
		t.Fatalf("an open record is readable: %q", got)
	}
	r.Begin(0, 0, Info, "Second").Int("n", 2).End()
	first.Str("late", "ignored").End()
	if got, want := strings.Join(texts(t, r), "|"), `msg="First"|msg="Second" n=2`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	r := newRing(1024)
	r.MinLevel = Info
	r.Begin(0, 0, Debug, "Hidden").Str("k", "v").Err(errors.New("hidden")).Int("n", 1).End()
	r.Begin(0, 0, Info, "Shown").End()
	r.Begin(0, 0, Warn, "Shown").End()
	r.Begin(0, 0, Level(200), "Shown").End()
	if got, want := r.Counts(), [4]uint64{0, 1, 1, 1}; got != want {
		t.Errorf("Counts() = %v, want %v", got, want)
	}
	if e, _ := r.Next(2); e.Level != Error {
		t.Errorf("an unknown level is kept as %v, want ERROR", e.Level)
	}
	var names []string
	for l := Debug; l <= Error+1; l++ {
		names = append(names, l.String())
	}
	if got, want := strings.Join(names, " "), "DEBUG INFO WARN ERROR ERROR"; got != want {
		t.Errorf("names are %s, want %s", got, want)
	}
}

func TestBufferTooSmall(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, headerSize, MinBuffer - 1} {
		r := newRing(size)
		r.Begin(0, 0, Warn, "Lost").Str("k", "v").End()
		if _, ok := r.Next(0); ok || r.Dropped() != 1 || r.Counts()[Warn] != 1 || r.Last() != 1 || r.First() != 2 {
			t.Errorf("%d bytes: Dropped() = %d, Counts() = %v, First() = %d", size, r.Dropped(), r.Counts(), r.First())
		}
	}
	var zero Ring
	zero.Begin(0, 0, Info, "Lost").End()
	if zero.Dropped() != 1 {
		t.Errorf("a ring without buffer dropped %d records, want 1", zero.Dropped())
	}
}

func TestConfigureAgain(t *testing.T) {
	t.Parallel()
	r := newRing(256)
	r.Begin(0, 0, Info, "Old").End()
	open := r.Begin(0, 0, Info, "Open")
	r.Configure(make([]byte, 256))
	open.Str("late", "ignored").End()
	r.Begin(0, 0, Info, "New").End()
	if got := texts(t, r); len(got) != 1 || got[0] != `msg="New"` || r.Last() != 2 || r.Dropped() != 1 {
		t.Errorf("got %q, Last() = %d, Dropped() = %d", got, r.Last(), r.Dropped())
	}
}

func TestAllocations(t *testing.T) {
	r := newRing(4096)
	value, err, line := []byte("some\nbytes"), errors.New("connection refused"), make([]byte, 0, 512)
	allocs := testing.AllocsPerRun(1000, func() {
		logOne(r, value, err)
		e, _ := r.Next(r.Last() - 1)
		line = e.AppendText(line[:0])
		e.Unix = 0
		line = e.AppendText(line[:0])
	})
	if allocs != 0 {
		t.Errorf("%v allocations per record, want 0", allocs)
	}
	if !bytes.Contains(line, []byte(`bytes="some\nbytes"`)) {
		t.Errorf("read back %s", line)
	}
}

func TestSizeOfRing(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Ring{}); size > 192 {
		t.Errorf("a Ring without its buffer takes %d bytes, want at most 192", size)
	}
}

func logOne(r *Ring, value []byte, err error) {
	r.Begin(time.Second, 1_767_225_600_000_000, Warn, "Heartbeat failed").
		Str("node", "pico-1").Bytes("bytes", value).Int("status", -503).Dur("after", 2500*time.Millisecond).Err(err).End()
}

func BenchmarkRecord(b *testing.B) {
	r := newRing(4096)
	value, err := []byte("some\nbytes"), errors.New("connection refused")
	b.ReportAllocs()
	for b.Loop() {
		logOne(r, value, err)
	}
}

func BenchmarkReadAll(b *testing.B) {
	r := newRing(4096)
	for range 200 {
		logOne(r, []byte("some\nbytes"), errors.New("connection refused"))
	}
	line := make([]byte, 0, 512)
	b.ReportAllocs()
	b.ReportMetric(float64(r.Last()-r.First()+1), "records")
	for b.Loop() {
		for cursor := uint64(0); ; {
			e, ok := r.Next(cursor)
			if !ok {
				break
			}
			line = e.AppendText(line[:0])
			cursor = e.Seq
		}
	}
}
