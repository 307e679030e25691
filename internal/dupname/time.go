package dupname

import "time"

// duplicity takes years between 1900 and 2100 (dup_time.py:stringtotime), and
// a time of 0 for one that did not parse. Sets from before 1970 do not exist.
const maxTime = 4102444799 // 2099-12-31T23:59:59Z

// cutTime removes the time of a long or an old name, and sets *form to Old
// when it is not written as long names are.
func cutTime(s *string, form *Form) (time.Time, bool) {
	if sec, ok := compactTime(*s); ok {
		*s = (*s)[16:]
		return checkTime(sec)
	}
	*form = Old
	if sec, n, ok := w3Time(*s); ok {
		*s = (*s)[n:]
		return checkTime(sec)
	}
	// A plain number of seconds: the reader's general time parser takes it.
	sec, ok := cutInt(s, 10, maxTime)
	if !ok {
		return time.Time{}, false
	}
	return checkTime(sec)
}

// cutTime36 removes the time of a short name.
func cutTime36(s *string) (time.Time, bool) {
	sec, ok := cutInt(s, 36, maxTime)
	if !ok {
		return time.Time{}, false
	}
	return checkTime(sec)
}

func checkTime(sec int64) (time.Time, bool) {
	if sec <= 0 || sec > maxTime {
		return time.Time{}, false
	}
	return time.Unix(sec, 0).UTC(), true
}

// compactTime reads YYYYMMDDTHHMMSSZ at the beginning of s. The reader folds
// case before it parses, so small letters are right too.
func compactTime(s string) (sec int64, ok bool) {
	if len(s) < 16 || s[8]|0x20 != 't' || s[15]|0x20 != 'z' {
		return 0, false
	}
	return civil(s[0:4], s[4:6], s[6:8], s[9:11], s[11:13], s[13:15])
}

// w3Time reads YYYY-MM-DDTHH:MM:SS and a zone, Z or ±HH:MM, at the beginning of
// s, and returns its length. Any one byte may stand for the colon
// (--time-separator), the same everywhere.
func w3Time(s string) (sec int64, n int, ok bool) {
	if len(s) < 20 || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[16] != s[13] || digit(s[13]|0x20) < 36 {
		return 0, 0, false
	}
	sec, ok = civil(s[0:4], s[5:7], s[8:10], s[11:13], s[14:16], s[17:19])
	if !ok {
		return 0, 0, false
	}
	if s[19]|0x20 == 'z' {
		return sec, 20, true
	}
	if len(s) < 25 || (s[19] != '+' && s[19] != '-') || s[22] != s[13] {
		return 0, 0, false
	}
	hours, ok1 := number(s[20:22])
	minutes, ok2 := number(s[23:25])
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	if s[19] == '-' {
		hours = -hours
	}
	// The minutes are added whatever the sign: duplicity writes the zone half
	// an hour west of -03:00 as -04:30 (dup_time.py:gettzd and tzdtoseconds).
	return sec - 60*(60*hours+minutes), 25, true
}

// civil returns the seconds since 1970 of a time in UTC, given by its decimal
// fields. Like duplicity it lets a day run over the end of its month, and
// seconds be up to 61.
func civil(year, month, day, hour, minute, second string) (int64, bool) {
	y, ok1 := number(year)
	mo, ok2 := number(month)
	d, ok3 := number(day)
	h, ok4 := number(hour)
	mi, ok5 := number(minute)
	s, ok6 := number(second)
	ok := ok1 && ok2 && ok3 && ok4 && ok5 && ok6 &&
		y > 1900 && y < 2100 && mo >= 1 && mo <= 12 && d >= 1 && d <= 31 && h <= 23 && mi <= 59 && s <= 61
	if !ok {
		return 0, false
	}
	return time.Date(int(y), time.Month(mo), int(d), int(h), int(mi), int(s), 0, time.UTC).Unix(), true
}

// number returns the value of a text that is all decimal digits.
func number(s string) (int64, bool) {
	var v int64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		v = v*10 + int64(s[i]-'0')
	}
	return v, true
}
