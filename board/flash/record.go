// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package flash

import "github.com/picolet/picolet/board"

// saveAttempts is how many sectors one Save tries.
const saveAttempts = 3

// Record keeps the newest of a series of records in a region of flash. Blocks
// follow one another through a ring of sectors, so that all wear alike: a
// sector takes as many as fit, and is erased when the ring comes round to it.
//
// A power cut leaves the old record or the new one. If it leaves the old one,
// the new one may still turn up at a later boot, until another Save succeeds;
// once the new one was loaded, the old one does not come back.
//
// The first use reads the headers of the blocks, at most one a page, and the
// newest block; more only if that is damaged. A Record is for one goroutine, and
// allocates nothing.
type Record struct {
	Device  Device // Required
	Offset  uint32 // Required: where the region begins, a multiple of SectorSize
	Sectors int    // Required: at least 2

	mounted bool
	firm    bool  // newest reads alike for ever
	newest  block // the block that Load reads

	// For the next block:
	sequence uint64 // of the last one written or found
	sector   int    // that it is in
	tail     uint32 // space behind it, known to be erased; none at the edge of a sector
	page     [PageSize]byte
}

var _ board.Storage = (*Record)(nil)

// Size returns the length of the record in bytes, 0 if there is none.
func (r *Record) Size() (int, error) {
	if err := r.mount(); err != nil {
		return 0, err
	}
	return int(r.newest.length), nil
}

// Load reads the record into p and returns its length, 0 if there is none.
func (r *Record) Load(p []byte) (int, error) {
	n, err := r.Size()
	if err != nil || n == 0 {
		return 0, err
	}
	if n > len(p) {
		return 0, ErrTooLarge
	}
	if err := r.Device.ReadAt(p[:n], r.newest.at+headerSize); err != nil {
		return 0, err
	}
	if r.newest.sumOf(p[:n]) != r.newest.sum {
		return 0, ErrUnstable
	}
	return n, nil
}

// Save replaces the record, unless it is the same. If it fails, Load returns
// the old record; after a restart it may return the new one.
func (r *Record) Save(p []byte) error {
	if len(p) > MaxRecord {
		return ErrTooLarge
	}
	if err := r.mount(); err != nil {
		return err
	}
	if err := r.keepNewest(); err != nil {
		return err
	}
	if same, err := r.holds(p); same || err != nil {
		return err
	}
	var err error
	for range saveAttempts {
		if err = r.write(p); err == nil {
			return nil
		}
		r.tail = 0
	}
	return err
}

// keepNewest makes sure of the old record before anything else is erased.
func (r *Record) keepNewest() error {
	if r.newest.sequence == 0 || r.firm {
		return nil
	}
	ok, err := r.makeFirm()
	if err == nil && !ok {
		err = ErrUnstable
	}
	return err
}

// mount finds the newest block, once. An older one takes the place of one that
// is damaged, or was interrupted in writing and cannot be completed.
func (r *Record) mount() error {
	if r.mounted {
		return nil
	}
	if r.Device == nil || r.Offset%SectorSize != 0 || r.Sectors < 2 {
		return ErrLayout
	}
	limit := block{sequence: maxSequence}
	for {
		if err := r.find(&limit); err != nil {
			return err
		}
		if r.newest.sequence == 0 {
			r.sequence, r.sector = 0, r.Sectors-1
			break
		}
		if ok, err := r.trust(); err != nil {
			return err
		} else if ok {
			r.sequence, r.sector = r.newest.sequence, r.sectorOf(&r.newest)
			break
		}
		limit = r.newest
	}
	r.mounted = true
	return nil
}

// trust tells whether the newest block is whole and will be read so for ever.
// What fails in programming it is left to Save, which tries again: the block
// can be read.
func (r *Record) trust() (bool, error) {
	whole, err := r.check(&r.newest, false)
	if r.firm = r.newest.sealed; r.firm || !whole || err != nil {
		return whole, err
	}
	ok, err := r.makeFirm()
	return ok || err != nil, nil
}

func (r *Record) sectorOf(b *block) int { return int((b.at - r.Offset) / SectorSize) }

// find sets newest to the newest block, by its header, that limit is newer than.
func (r *Record) find(limit *block) error {
	r.newest = block{}
	for s := range r.Sectors {
		if err := r.findIn(r.Offset+uint32(s)*SectorSize, limit); err != nil {
			return err
		}
	}
	return nil
}

func (r *Record) findIn(sector uint32, limit *block) error {
	for at := sector; at < sector+SectorSize; {
		if err := r.Device.ReadAt(r.page[:headerSize], at); err != nil {
			return err
		}
		b, ok := parseBlock(at, r.page[:])
		if !ok || at+b.size() > sector+SectorSize {
			return nil
		}
		if b.newer(&r.newest) && limit.newer(&b) {
			r.newest = b
		}
		at += b.size()
	}
	return nil
}

// check reads a block and tells whether it is whole. With firm, it programs
// what it reads again, which completes the bits that a power cut left between
// zero and one: those of a whole block stay as they were read.
func (r *Record) check(b *block, firm bool) (bool, error) {
	var sum uint32
	left := headerSize + b.length
	for at := b.at; left > 0; at += PageSize {
		if err := r.Device.ReadAt(r.page[:], at); err != nil {
			return false, err
		}
		n := min(left, PageSize)
		head := uint32(0)
		if at == b.at {
			if !b.begins(r.page[:]) {
				return false, nil
			}
			head, sum = headerSize, crc32c(^uint32(0), r.page[:sumAt])
		}
		sum = crc32c(sum, r.page[head:n])
		if firm {
			if err := r.Device.Program(at, r.page[:]); err != nil {
				return false, err
			}
		}
		left -= n
	}
	return ^sum == b.sum, nil
}

// makeFirm completes and seals the newest block; false if it cannot be read
// any more.
func (r *Record) makeFirm() (bool, error) {
	ok, err := r.check(&r.newest, true)
	if ok && err == nil {
		err = r.seal(&r.newest)
	}
	r.firm = ok && err == nil
	return ok, err
}

func (r *Record) seal(b *block) error {
	for i := range r.page {
		r.page[i] = 0xff
	}
	for i := sealAt; i < headerSize; i++ {
		r.page[i] = 0
	}
	return r.Device.Program(b.at, r.page[:])
}

// holds tells whether p is the newest record already.
func (r *Record) holds(p []byte) (bool, error) {
	if r.newest.sequence == 0 || int(r.newest.length) != len(p) {
		return false, nil
	}
	for done := 0; done < len(p); {
		n := min(len(p)-done, PageSize)
		if err := r.Device.ReadAt(r.page[:n], r.newest.at+headerSize+uint32(done)); err != nil {
			return false, err
		}
		if !equal(r.page[:n], p[done:done+n]) {
			return false, nil
		}
		done += n
	}
	return true, nil
}

// write puts a record into the next block, reads it back and seals it.
func (r *Record) write(p []byte) error {
	b := block{length: uint32(len(p))}
	if err := r.place(&b); err != nil {
		return err
	}
	b.sum = b.sumOf(p)
	if err := r.program(&b, p); err != nil {
		return err
	}
	whole, err := r.check(&b, false)
	if err != nil {
		return err
	}
	if !whole {
		return ErrNotWritten
	}
	if err := r.seal(&b); err != nil {
		return err
	}
	r.newest, r.firm, r.tail = b, true, b.at+b.size()
	return nil
}

// place finds where b goes: behind the last block, if the sector was erased
// since boot, else to the next sector. Space that only looks erased may have
// been programmed when the power was cut.
//
// A block of that kind, which nobody could read when its successor was
// written, is at most one behind the newest: hence a step of two.
func (r *Record) place(b *block) error {
	if used := r.tail % SectorSize; used != 0 && used+b.size() <= SectorSize {
		r.sequence++
		b.at, b.sequence = r.tail, r.sequence
		return nil
	}
	r.sector = (r.sector + 1) % r.Sectors
	if r.newest.sequence != 0 && r.sector == r.sectorOf(&r.newest) {
		r.sector = (r.sector + 1) % r.Sectors
	}
	r.sequence += 2
	b.at, b.sequence = r.Offset+uint32(r.sector)*SectorSize, r.sequence
	return r.Device.Erase(b.at)
}

// program writes the pages of an unsealed block.
func (r *Record) program(b *block, p []byte) error {
	page := b.appendHeader(r.page[:0])
	for at := b.at; at < b.at+b.size(); at += PageSize {
		n := min(len(p), PageSize-len(page))
		page = append(page, p[:n]...)
		p = p[n:]
		for len(page) < PageSize {
			page = append(page, 0xff)
		}
		if err := r.Device.Program(at, page); err != nil {
			return err
		}
		page = page[:0]
	}
	return nil
}
