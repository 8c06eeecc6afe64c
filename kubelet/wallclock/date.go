// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wallclock

import "github.com/picolet/picolet/kubelet/text"

// Dates by the Gregorian calendar, in UTC. Package time reads and writes them
// too, by layouts, names of months and zones that cost a board 17 KB of flash.

const (
	secondsPerDay = 24 * 60 * 60
	daysPer400    = 400*365 + 97
	// epoch is the days from March 1 of the year 0 to January 1, 1970. Years
	// that begin in March end with the leap day, if they have one.
	epoch = 719468
	// end is the first second of the year 10000, which has no date here.
	end = 253402300800
)

// date is a day of the calendar. Month and day count from 1, weekday 0 is Sunday.
type date struct{ year, month, day, weekday int32 }

// dateOf is the day that is so many days after January 1, 1970, which was a
// Thursday.
func dateOf(days int32) date {
	d := days + epoch
	cycle, d := d/daysPer400, d%daysPer400
	// The last day of 4 years, and of 400, is one more than they would have.
	year := (d - d/(4*365) + d/(100*365+24) - d/(daysPer400-1)) / 365
	d -= 365*year + year/4 - year/100
	month := (5*d + 2) / 153 // from March: 31, 30, 31, 30, 31 days, and again
	day := d - (153*month+2)/5 + 1
	year, month = year+400*cycle, month+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return date{year, month, day, (days + 4) % 7}
}

// days is the inverse of dateOf for a date that exists; for one that does not,
// it is the number of another.
func (d date) days() int32 {
	year, month := d.year, d.month-3
	if month < 0 {
		year, month = year-1, month+12
	}
	cycle, year := year/400, year%400
	return cycle*daysPer400 + 365*year + year/4 - year/100 + (153*month+2)/5 + d.day - 1 - epoch
}

const (
	weekdayNames = "SunMonTueWedThuFriSat"
	monthNames   = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// AppendTime appends microseconds since 1970 as a Kubernetes Time: RFC 3339 in
// whole seconds, UTC. What lies outside the years 1970 to 9999 becomes their
// first or last second.
func AppendTime(b []byte, micros int64) []byte {
	return append(appendSeconds(b, micros/1e6), 'Z')
}

// AppendMicroTime appends microseconds since 1970 as a Kubernetes MicroTime:
// RFC 3339 with six digits of a second, UTC. What lies outside the years 1970
// to 9999 becomes their first or last second.
func AppendMicroTime(b []byte, micros int64) []byte {
	b = append(appendSeconds(b, micros/1e6), '.')
	b = appendDigits(b, int32(max(micros, 0)%1e6), 6)
	return append(b, 'Z')
}

func appendSeconds(b []byte, unix int64) []byte {
	day, second := split(unix)
	d := dateOf(day)
	b = append(appendDigits(b, d.year, 4), '-')
	b = append(appendDigits(b, d.month, 2), '-')
	b = append(appendDigits(b, d.day, 2), 'T')
	return appendTimeOfDay(b, second)
}

// HTTPDateSize is the length of what AppendHTTPDate appends.
const HTTPDateSize = len("Mon, 02 Jan 2006 15:04:05 GMT")

// AppendHTTPDate appends seconds since 1970 as the IMF-fixdate of RFC 9110,
// section 5.6.7. What lies outside the years 1970 to 9999 becomes their first
// or last second.
func AppendHTTPDate(b []byte, unix int64) []byte {
	day, second := split(unix)
	d := dateOf(day)
	b = append(b, weekdayNames[3*d.weekday:3*d.weekday+3]...)
	b = append(b, ',', ' ')
	b = append(appendDigits(b, d.day, 2), ' ')
	b = append(b, monthNames[3*d.month-3:3*d.month]...)
	b = append(b, ' ')
	b = append(appendDigits(b, d.year, 4), ' ')
	return append(appendTimeOfDay(b, second), " GMT"...)
}

// split is the day since 1970, and the second of it.
func split(unix int64) (day, second int32) {
	unix = min(max(unix, 0), end-1)
	day = int32(unix / secondsPerDay)
	return day, int32(unix - int64(day)*secondsPerDay)
}

func appendTimeOfDay(b []byte, second int32) []byte {
	b = append(appendDigits(b, second/3600, 2), ':')
	b = append(appendDigits(b, second/60%60, 2), ':')
	return appendDigits(b, second%60, 2)
}

// appendDigits appends the last digits of v.
func appendDigits(b []byte, v int32, digits int) []byte {
	b = append(b, "000000"[:digits]...)
	for i := len(b) - 1; i >= len(b)-digits; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return b
}

// httpDate reads an IMF-fixdate, the one form of dates that RFC 9110, section
// 5.6.7, lets a server send, as seconds since 1970; its names are case-sensitive.
// Which day of the week it was is not checked.
func httpDate(text []byte) (unix int64, ok bool) {
	const form = "***, 00 *** 0000 00:00:00 GMT" // 0: a digit; *: of a name
	if len(text) != len(form) {
		return 0, false
	}
	for i, c := range text {
		f := form[i]
		if f == '0' && (c < '0' || c > '9') || f != '0' && f != '*' && c != f {
			return 0, false
		}
	}
	_, known := indexOf(weekdayNames, text[:3])
	month, named := indexOf(monthNames, text[8:11])
	d := date{year: number(text[12:16]), month: month + 1, day: number(text[5:7])}
	hour, minute, second := number(text[17:19]), number(text[20:22]), number(text[23:25])
	days := d.days()
	if !known || !named || d.year < 1970 || hour > 23 || minute > 59 || second > 59 || dateOf(days).day != d.day {
		return 0, false
	}
	return int64(days)*secondsPerDay + int64(hour*3600+minute*60+second), true
}

// indexOf finds a name of three letters among others.
func indexOf(names string, name []byte) (i int32, ok bool) {
	for ; int(3*i) < len(names); i++ {
		if names[3*i:3*i+3] == text.View(name) {
			return i, true
		}
	}
	return 0, false
}

// number is the value of digits.
func number(digits []byte) (v int32) {
	for _, c := range digits {
		v = 10*v + int32(c-'0')
	}
	return v
}
