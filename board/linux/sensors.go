// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/picolet/picolet/board"
)

// sensors keeps the files of /proc and /sys open and reads them anew from
// their beginning: a reading needs no memory.
type sensors struct {
	mu       sync.Mutex
	meminfo  *os.File // nil, as those below: the kernel does not offer it
	stat     *os.File
	thermal  *os.File
	wireless *os.File
	folder   *os.File
	statfs   syscall.Statfs_t
	buf      [2048]byte
}

var _ board.Sensors = (*sensors)(nil)

// openSensors opens what there is under root, and the folder whose file
// system counts as flash.
func openSensors(root, folder string) (*sensors, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the file system: %w", err)
	}
	t := tree(root)
	return &sensors{
		meminfo:  t.openOptional("proc/meminfo"),
		stat:     t.openOptional("proc/stat"),
		thermal:  t.openOptional("sys/class/thermal/thermal_zone0/temp"),
		wireless: t.openOptional("proc/net/wireless"),
		folder:   dir,
	}, nil
}

// openOptional returns nil for a file that cannot be opened.
func (t tree) openOptional(name string) *os.File {
	file, err := t.open(name)
	if err != nil {
		return nil
	}
	return file
}

// close closes all files.
func (s *sensors) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs error
	for _, file := range []**os.File{&s.meminfo, &s.stat, &s.thermal, &s.wireless, &s.folder} {
		if *file != nil {
			errs = errors.Join(errs, (*file).Close())
			*file = nil
		}
	}
	return errs
}

// Read fills r with what the kernel tells now. Used memory is all that is not
// available to a new program; CPU time is that of the whole machine.
func (s *sensors) Read(_ time.Duration, r *board.Readings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*r = board.Readings{}
	total, available := memory(s.content(s.meminfo))
	if available <= total {
		r.HeapTotal, r.HeapUsed = total, total-available
	}
	_, r.FlashTotal, r.FlashUsed = s.disk()
	r.CPUTime, r.HasCPUTime = busyTime(s.content(s.stat))
	r.TemperatureMilli, r.HasTemperature = temperature(s.content(s.thermal))
	r.RSSI, r.HasRSSI = signal(s.content(s.wireless))
}

// content reads the beginning of a file, nothing if that fails. It is valid
// until the next call. One system call does: os.File.ReadAt would look for the
// end of the file, for which the kernel writes all of it again.
func (s *sensors) content(file *os.File) []byte {
	if file == nil {
		return nil
	}
	n, err := syscall.Pread(int(file.Fd()), s.buf[:], 0)
	if err != nil {
		return nil
	}
	return s.buf[:n]
}

// disk returns the size of the file system, and, as df(1) does, the part of it
// that is not reserved for root, and how much of that is used.
func (s *sensors) disk() (size, total, used uint64) {
	if s.folder == nil || syscall.Fstatfs(int(s.folder.Fd()), &s.statfs) != nil {
		return 0, 0, 0
	}
	unit := uint64(s.statfs.Frsize)
	blocks, free, available := s.statfs.Blocks, s.statfs.Bfree, s.statfs.Bavail
	if free > blocks || available > free {
		return 0, 0, 0
	}
	used = blocks - free
	return blocks * unit, (used + available) * unit, used * unit
}
