package dupname

import (
	"strconv"
	"time"
)

// The layouts of times in long and old names, always in UTC.
const (
	longTime = "20060102T150405Z"
	oldTime  = "2006-01-02T15:04:05Z"
)

// String writes the name in its form, long when that is zero, as duplicity
// would. For a name that was parsed this is the text that was parsed, except
// that times come out in capitals, old ones in UTC with colons, and numbers
// without leading zeros.
func (n Name) String() string {
	b := make([]byte, 0, len(n.Prefix)+len(n.Companion)+80)
	b = append(b, n.Prefix...)
	if n.Form == Short && !n.Index {
		b = n.appendShort(b)
	} else {
		b = n.appendLong(b)
	}
	return string(append(b, n.Companion...))
}

func (n Name) appendLong(b []byte) []byte {
	if n.Index {
		return n.appendIndex(b)
	}
	b = append(b, longHead...)
	switch {
	case n.Kind == Signature && n.Type == Full:
		b = append(b, "full-signatures."...)
	case n.Kind == Signature:
		b = append(b, "new-signatures."...)
	case n.Type == Full:
		b = append(b, "full."...)
	default:
		b = append(b, "inc."...)
	}
	layout := longTime
	if n.Form == Old {
		layout = oldTime
	}
	if n.Type == Incremental {
		b = append(n.Start.UTC().AppendFormat(b, layout), ".to."...)
	}
	b = n.End.UTC().AppendFormat(b, layout)
	switch n.Kind {
	case Volume:
		b = append(b, ".vol"...)
		b = strconv.AppendInt(b, int64(n.Volume), 10)
		b = append(b, ".difftar"...)
	case Manifest:
		b = append(b, ".manifest"...)
	case Signature:
		b = append(b, ".sigtar"...)
	case Other:
		b = append(b, ".jsonstat"...)
	}
	return n.appendTail(b, ".part", ".gz", ".gpg")
}

func (n Name) appendIndex(b []byte) []byte {
	b = append(b, IndexHead...)
	if n.Type == Incremental {
		b = append(n.Start.UTC().AppendFormat(b, longTime), ".to."...)
	}
	b = n.End.UTC().AppendFormat(b, longTime)
	return n.appendTail(b, ".part", ".gz", ".gpg")
}

func (n Name) appendShort(b []byte) []byte {
	full, inc, between := "df.", "di.", "."
	switch {
	case n.Kind == Signature:
		full, inc = "dfs.", "dns."
	case n.Stats:
		full, inc, between = "dfst.", "dist.", ".to."
	}
	if n.Type == Full {
		b = append(b, full...)
	} else {
		b = append(b, inc...)
		b = append(append36(b, n.Start), between...)
	}
	b = append(append36(b, n.End), '.')
	switch n.Kind {
	case Volume:
		b = strconv.AppendInt(b, int64(n.Volume), 36)
		b = append(b, ".dt"...)
	case Manifest:
		b = append(b, 'm')
	case Signature:
		b = append(b, "st"...)
	case Other:
		b = append(b, "jst"...)
	}
	return n.appendTail(b, ".p", ".z", ".g")
}

func (n Name) appendTail(b []byte, part, compressed, encrypted string) []byte {
	if n.Partial {
		b = append(b, part...)
	}
	switch {
	case n.Encrypted:
		b = append(b, encrypted...)
	case n.Compressed:
		b = append(b, compressed...)
	}
	return b
}

func append36(b []byte, t time.Time) []byte { return strconv.AppendInt(b, t.Unix(), 36) }
