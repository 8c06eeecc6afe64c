// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package flashtest is a NOR flash in memory for tests: erasing sets ones,
// programming only clears them, wear is counted, and the power can fail at any
// operation, which leaves some bits done, some not, and some weak: those read
// as either until the sector is erased or the bit programmed again.
//
// It takes no time, and models no read disturb and no error correction.
package flashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/picolet/picolet/board/flash"
)

// ErrPowerCut is what every operation returns from the cut on, until PowerOn.
var ErrPowerCut = errors.New("flashtest: the power is cut")

// Phase says how much of an operation a power cut lets happen.
type Phase int

// The phases of an operation.
const (
	Before Phase = iota // nothing is done
	During              // part of it is done, by the seed
	After               // all is done, but the caller does not learn it
)

// Flash is a chip that begins at an offset of the board's flash.
type Flash struct {
	offset     uint32
	cells      []byte
	weak       []byte // bits that read as either
	lean       float64
	wear       []int // erases of each sector
	broken     []bool
	operations int
	readBytes  int
	random     *rand.Rand
	cutAt      int // operation, 0: none
	phase      Phase
	off        bool
}

var _ flash.Device = (*Flash)(nil)

// New returns an erased chip with sectors from offset on.
func New(offset uint32, sectors int, seed uint64) *Flash {
	n := sectors * flash.SectorSize
	f := &Flash{
		offset: offset, cells: make([]byte, n), weak: make([]byte, n),
		wear: make([]int, sectors), broken: make([]bool, sectors), random: random(seed),
	}
	for i := range f.cells {
		f.cells[i] = 0xff
	}
	return f
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// Clone returns a chip in the same state, with a seed of its own.
func (f *Flash) Clone(seed uint64) *Flash {
	c := *f
	c.cells, c.weak = slices.Clone(f.cells), slices.Clone(f.weak)
	c.wear, c.broken = slices.Clone(f.wear), slices.Clone(f.broken)
	c.random = random(seed)
	return &c
}

// CutPower fails the power at the nth operation from now, the next being 1.
// Operations are erases and programs of a page.
func (f *Flash) CutPower(n int, phase Phase) { f.cutAt, f.phase = f.operations+n, phase }

// PowerOn restores the power and forgets about cuts that have not come.
func (f *Flash) PowerOn() { f.off, f.cutAt = false, 0 }

// Operations counts erases and programs since the chip was made.
func (f *Flash) Operations() int { return f.operations }

// ReadBytes counts bytes read since the chip was made.
func (f *Flash) ReadBytes() int { return f.readBytes }

// Wear returns how often each sector was erased.
func (f *Flash) Wear() []int { return slices.Clone(f.wear) }

// Break makes a sector of the chip lose what is programmed from now on.
func (f *Flash) Break(sector int) { f.broken[sector] = true }

// WeakBits counts the bits that read as either.
func (f *Flash) WeakBits() int {
	n := 0
	for _, b := range f.weak {
		for ; b != 0; b &= b - 1 {
			n++
		}
	}
	return n
}

// ReadAt fills p with what the cells read as.
func (f *Flash) ReadAt(p []byte, off uint32) error {
	at, err := f.locate("read", off, len(p), 1)
	if err != nil {
		return err
	}
	f.readBytes += len(p)
	copy(p, f.cells[at:])
	for i, weak := range f.weak[at : at+len(p)] {
		for bit := byte(1); weak != 0; bit <<= 1 {
			if weak&bit != 0 && f.random.Float64() >= f.lean {
				p[i] &^= bit
			} else if weak&bit != 0 {
				p[i] |= bit
			}
			weak &^= bit
		}
	}
	return nil
}

// Erase sets a sector to ones.
func (f *Flash) Erase(off uint32) error {
	at, err := f.locate("erase", off, flash.SectorSize, flash.SectorSize)
	if err != nil {
		return err
	}
	f.wear[at/flash.SectorSize]++
	return f.operate(at, flash.SectorSize, func(i int, mask byte) {
		f.cells[i] |= mask
		f.weak[i] &^= mask
	}, func(i int) byte { return ^f.cells[i] | f.weak[i] })
}

// Program clears the bits that are zero in p.
func (f *Flash) Program(off uint32, p []byte) error {
	at, err := f.locate("program", off, len(p), flash.PageSize)
	if err != nil {
		return err
	}
	for i := 0; i < len(p); i += flash.PageSize {
		page, begin := p[i:i+flash.PageSize], at+i
		if f.broken[begin/flash.SectorSize] {
			page = make([]byte, flash.PageSize) // every cell is stuck at zero
		}
		err := f.operate(begin, flash.PageSize, func(i int, mask byte) {
			f.cells[i] &= page[i-begin] | ^mask
			f.weak[i] &= page[i-begin] | ^mask
		}, func(i int) byte { return ^page[i-begin] & (f.cells[i] | f.weak[i]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// operate applies do to the bits of size cells from at, or to part of them if
// the power fails; changing tells which bits do would change.
func (f *Flash) operate(at, size int, do func(i int, mask byte), changing func(i int) byte) error {
	f.operations++
	cut := f.operations == f.cutAt
	if !cut || f.phase == After {
		for i := at; i < at+size; i++ {
			do(i, 0xff)
		}
	}
	if cut && f.phase == During {
		f.interrupt(at, size, do, changing)
	}
	if cut {
		f.off = true
		return ErrPowerCut
	}
	return nil
}

// interrupt does part of an operation: from its beginning up to somewhere, or
// each bit by chance. Bits about to change may be left weak, all or few of
// them, and tend to read as ones, as zeros or as neither.
func (f *Flash) interrupt(at, size int, do func(i int, mask byte), changing func(i int) byte) {
	inOrder, done := f.random.IntN(2) == 0, f.random.IntN(size+1)
	weakening := []float64{0, 0.002, 0.1, 1}[f.random.IntN(4)]
	f.lean = []float64{0.03, 0.5, 0.97}[f.random.IntN(3)]
	for i := at; i < at+size; i++ {
		mask := byte(f.random.Uint32())
		if inOrder && i-at < done {
			mask = 0xff
		} else if inOrder {
			mask = 0
		}
		do(i, mask)
		for bit, rest := byte(1), changing(i); rest != 0; bit <<= 1 {
			if rest&bit != 0 && f.random.Float64() < weakening {
				f.weak[i] |= bit
			}
			rest &^= bit
		}
	}
}

// locate checks what is asked and returns the index of its first cell.
func (f *Flash) locate(what string, off uint32, n, unit int) (int, error) {
	if f.off {
		return 0, ErrPowerCut
	}
	at := int(off) - int(f.offset)
	if at < 0 || at+n > len(f.cells) || at%unit != 0 || n%unit != 0 {
		return 0, fmt.Errorf("flashtest: %s of %d bytes at %#x: not in the chip, or not in units of %d", what, n, off, unit)
	}
	return at, nil
}
