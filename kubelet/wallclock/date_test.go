// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wallclock

import (
	"math"
	"testing"
	"time"
)

// Layouts of package time for the three forms.
const (
	timeLayout  = "2006-01-02T15:04:05Z"
	microLayout = "2006-01-02T15:04:05.000000Z"
	httpLayout  = "Mon, 02 Jan 2006 15:04:05 GMT"
)

// checkMoment compares every form of a moment with what package time makes of it.
func checkMoment(t *testing.T, micros int64) {
	t.Helper()
	clamped := min(max(micros, 0), end*1e6-1)
	at := time.UnixMicro(clamped).UTC()
	if got := string(AppendTime(nil, micros)); got != at.Format(timeLayout) {
		t.Fatalf("AppendTime(%d) = %s, want %s", micros, got, at.Format(timeLayout))
	}
	if got := string(AppendMicroTime([]byte("> "), micros)); micros == clamped && got != "> "+at.Format(microLayout) {
		t.Fatalf("AppendMicroTime(%d) = %s, want %s", micros, got, at.Format(microLayout))
	}
	text := AppendHTTPDate(nil, clamped/1e6)
	if string(text) != at.Format(httpLayout) || len(text) != HTTPDateSize {
		t.Fatalf("AppendHTTPDate(%d) = %s, want %s", clamped/1e6, text, at.Format(httpLayout))
	}
	if back, ok := httpDate(text); !ok || back != clamped/1e6 {
		t.Fatalf("%s is read as %d, %v, want %d", text, back, ok, clamped/1e6)
	}
}

// Every day of 400 years, after which the calendar repeats.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	at := time.Unix(0, 0).UTC()
	for day := range int32(daysPer400) {
		year, month, monthDay := at.Date()
		want := date{int32(year), int32(month), int32(monthDay), int32(at.Weekday())}
		if got := dateOf(day); got != want || got.days() != day {
			t.Fatalf("day %d is %+v, day %d, want %+v", day, got, got.days(), want)
		}
		at = at.AddDate(0, 0, 1)
	}
}

// Moments of all years, each at another time of day.
func TestEveryYear(t *testing.T) {
	t.Parallel()
	const step = 97 * (secondsPerDay*1e6 + 1_234_567)
	for micros := int64(0); micros < end*1e6; micros += step {
		checkMoment(t, micros)
	}
}

func TestMomentsAtTheEdge(t *testing.T) {
	t.Parallel()
	for _, micros := range []int64{0, 1, -1, -1e6, end*1e6 - 1, end * 1e6, math.MinInt64, math.MaxInt64, year2000 * 1e6} {
		checkMoment(t, micros)
	}
}

func FuzzMoment(f *testing.F) {
	f.Add(int64(1_700_000_000_123_456))
	f.Fuzz(func(t *testing.T, micros int64) { checkMoment(t, micros) })
}

// A text is a date for httpDate if package time takes it for one and would
// write it so, but for the name of the weekday, which time does not check
// either.
func FuzzHTTPDate(f *testing.F) {
	for _, seed := range []string{
		"Thu, 29 Feb 2024 12:00:00 GMT", "Thu, 29 Feb 2100 12:00:00 GMT", "Mon, 31 Apr 2026 00:00:00 GMT", "Mon, 00 Jan 2026 00:00:00 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Wed, 31 Dec 1969 23:59:59 GMT", "Wed, 31 Dec 2025 23:60:59 GMT", "Wed, 31 Dec 2025 23:59:60 GMT",
		"wed, 31 dec 2025 23:59:59 GMT", "Wed, 31 Dec 2025 23:59:59 gmt", "Xyz, 31 Dec 2025 23:59:59 GMT", "Wed, 31 Xyz 2025 23:59:59 GMT",
		"Wed, 3  Dec 2025 23:59:59 GMT", "unM, 31 Dec 2025 23:59:59 GMT", "Wed, 32 Dec 2025 23:59:59 GMT", "Wed, 31 Dec 2025 24:00:00 GMT", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		unix, ok := httpDate([]byte(text))
		at, err := time.Parse(httpLayout, text)
		want := err == nil && at.Year() >= 1970 && len(text) == HTTPDateSize && at.Format(httpLayout)[3:] == text[3:] && isWeekday(text[:3])
		if ok != want || ok && unix != at.Unix() {
			t.Errorf("%q is read as %d, %v; package time reads %v, %v", text, unix, ok, at, err)
		}
	})
}

func isWeekday(name string) bool {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if day.String()[:3] == name {
			return true
		}
	}
	return false
}

func BenchmarkAppendMicroTime(b *testing.B) {
	buf := make([]byte, 0, 32)
	for b.Loop() {
		buf = AppendMicroTime(buf[:0], 1_700_000_000_123_456)
	}
}
