package pyre

import "strings"

// flagLetters are the flags that Python knows; L is refused in a str pattern.
const flagLetters = "aiLmsux"

// flags reads the flags of a group, (?i-s:...), or of the whole expression, (?i).
func (p *parser) flags(f *flags, first bool) (n node, some bool) {
	added := p.flagRun()
	for _, c := range added {
		switch {
		case c == 'L':
			p.fail("bad inline flags: cannot use 'L' flag with a str pattern")
		case c == 'u' && strings.Contains(added, "a"):
			p.fail("bad inline flags: flags 'a', 'u' and 'L' are incompatible")
		}
	}
	inner := *f
	inner.set(added, true)
	switch p.next() {
	case ')':
		if added == "" {
			p.fail("missing flag")
		}
		if !first {
			p.fail("global flags not at the start of the expression")
		}
		*f = inner
		return node{}, false
	case ':':
	case '-':
		removed := p.flagRun()
		switch {
		case removed == "":
			p.fail("missing flag")
		case strings.ContainsAny(removed, "aLu"):
			p.fail("bad inline flags: cannot turn off flags 'a', 'u' and 'L'")
		case strings.ContainsAny(removed, added):
			p.fail("bad inline flags: flag turned on and off")
		case !p.accept(':'):
			p.fail("missing : or unknown flag")
		}
		inner.set(removed, false)
	default:
		p.fail("missing -, : or ), or unknown flag")
	}
	return p.closeGroup("(?:", inner), true
}

func (p *parser) flagRun() string {
	begin := p.pos
	for c := p.peek(); c != end && strings.ContainsRune(flagLetters, c); c = p.peek() {
		p.pos++
	}
	return string(p.src[begin:p.pos])
}

func (f *flags) set(letters string, on bool) {
	for _, c := range letters {
		switch c {
		case 'a':
			f.ascii = on
		case 'u':
			f.ascii = !on
		case 'i':
			f.ignoreCase = on
		case 'm':
			f.multiLine = on
		case 's':
			f.dotAll = on
		case 'x':
			f.verbose = on
		}
	}
}
