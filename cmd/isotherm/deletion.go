package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine"
)

// deletionQuestion says in a line what a plan does.
func deletionQuestion(p *engine.PrunePlan) string {
	now, later := p.Due()
	var parts []string
	if now > 0 {
		parts = append(parts, "delete "+count(now, "set", "sets")+" now")
	}
	files := 0
	for _, f := range p.Files {
		if f.On.IsZero() {
			files++
		}
	}
	if files > 0 {
		parts = append(parts, "delete "+count(files, "file of no set", "files of no set")+" now")
	}
	if later > 0 {
		parts = append(parts, "list "+count(later, "set", "sets")+" to be deleted later")
	}
	text := strings.Join(parts, " and ")
	if p.Now && len(p.Fee) > 0 {
		text += ", for " + money(p.Fee) + " in early-deletion fees"
	}
	return text + "?"
}

func printPrunePlan(w io.Writer, p *engine.PrunePlan) {
	printPruneSets(w, p)
	for _, f := range p.Files {
		fmt.Fprintf(w, "file %s: %s%s\n", f.Name, f.Why, later(f.On))
	}
	printPruneStores(w, p)
	for _, d := range p.Listed {
		fmt.Fprintf(w, "listed before: the %s set of %s, to be deleted on %s\n", d.Type, stamp(d.Time), date(d.On))
	}
	for _, k := range p.Kept {
		fmt.Fprintf(w, "stays: the chain of %s to %s, %s: %s\n", stamp(k.Start), stamp(k.End), count(k.Sets, "set", "sets"), k.Why)
		if n := len(k.Needed); n > 0 {
			fmt.Fprintf(w, "       %s older, but newer sets build on %s\n", count(n, "of its sets is", "of its sets are"), pronoun(n))
		}
	}
	for _, r := range p.Resumable {
		fmt.Fprintf(w, "left alone: the backup of the %s set of %s (%s, %s) can be carried on; --abandon gives it up\n",
			r.Type, stamp(r.Time), count(r.Volumes, "volume", "volumes"), size(r.Bytes))
	}
	if p.IsEmpty() {
		fmt.Fprintln(w, "nothing more is to be deleted")
	}
}

func pronoun(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

func later(on time.Time) string {
	if on.IsZero() {
		return ""
	}
	return "; deleting it costs nothing from " + date(on) + " on: clean up again then"
}

func printPruneSets(w io.Writer, p *engine.PrunePlan) {
	if len(p.Sets) == 0 {
		return
	}
	t := newTable(w, "set", "time", "volumes", "files", "size", "deleted", "fee now", "why")
	rightAlign(t, 3, 4, 5, 7)
	for _, s := range p.Sets {
		on := "now"
		if s.On.After(p.Time) {
			on = "on " + date(s.On)
		}
		t.AppendRow([]any{s.Type, stamp(s.Time), s.Volumes, s.Files, size(s.Bytes), on, orDash(money(s.Fee())), s.Why})
	}
	t.Render()
	fmt.Fprintln(w)
}

func printPruneStores(w io.Writer, p *engine.PrunePlan) {
	if len(p.Stores) == 0 {
		return
	}
	t := newTable(w, "store", "files", "size", "fee now", "free")
	rightAlign(t, 2, 3, 4)
	for _, s := range p.Stores {
		fee, free := "-", "now"
		if !s.Fee.IsZero() {
			fee = s.Fee.Text()
		}
		if !s.Free.IsZero() {
			free = "from " + date(s.Free)
		}
		t.AppendRow([]any{s.Store, s.Files, size(s.Bytes), fee, free})
	}
	t.Render()
	for _, fee := range p.Fee {
		if !fee.Complete() {
			fmt.Fprintln(w, "the fee is not known: name a price book under `prices` in the policy")
		}
	}
	fmt.Fprintln(w)
}

func printPruneReport(w io.Writer, r *engine.PruneReport) {
	for _, k := range r.Kept {
		fmt.Fprintf(w, "not deleted any more: the %s set of %s: %s\n", k.Type, stamp(k.Time), k.Why)
	}
	fmt.Fprintf(w, "deleted %s, %s (%s)\n", count(r.Sets, "set", "sets"), count(r.Files, "file", "files"), size(r.Bytes))
	if n := len(r.Waiting); n > 0 {
		fmt.Fprintf(w, "%s to be deleted later, the last on %s\n", count(n, "set is", "sets are"), date(lastDay(r.Waiting)))
	}
}

func lastDay(waiting []engine.Deletion) time.Time {
	var last time.Time
	for _, d := range waiting {
		if d.On.After(last) {
			last = d.On
		}
	}
	return last
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
