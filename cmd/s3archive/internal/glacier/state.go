package glacier

import (
	"fmt"
	"net/http"
	"time"
)

// Access is the archive tier of an INTELLIGENT_TIERING object, as x-amz-archive-status names it; empty in an online tier.
type Access string

// The archive tiers of INTELLIGENT_TIERING.
const (
	ArchiveAccess     Access = "ARCHIVE_ACCESS"
	DeepArchiveAccess Access = "DEEP_ARCHIVE_ACCESS"
)

// Object is what decides about the reading of an object version.
type Object struct {
	Class    Class
	Size     int64     // bytes
	Accessed time.Time // when it was last written, read or restored; counts for INTELLIGENT_TIERING only
	Thaw     *Thaw     // its last restore, nil if it never had one
}

// Thaw is a restore that was accepted. Whether it runs, has ended well or has expired follows from the time.
type Thaw struct {
	Asked  time.Time `json:"asked"`
	Ready  time.Time `json:"ready"`            // when the object can be read
	Expiry time.Time `json:"expiry,omitzero"`  // when the copy ends; zero for INTELLIGENT_TIERING, which moves for good
	Tier   Tier      `json:"tier"`             // the speed
	Days   int32     `json:"days,omitempty"`   // how long the copy is wanted
	Access Access    `json:"access,omitempty"` // the archive tier that an INTELLIGENT_TIERING object was in
}

// Phase says whether an object can be read.
type Phase int

// The phases: Online objects were never archived, Cold ones need a restore, Thawing ones have one running, and Thawed ones have
// a copy that can be read until it expires.
const (
	Online Phase = iota
	Cold
	Thawing
	Thawed
)

// State is an object's state at one time.
type State struct {
	Phase  Phase
	Access Access    // archive tier of an INTELLIGENT_TIERING object, empty in an online one
	Expiry time.Time // set if Thawed
	Asked  time.Time // when the restore was asked for; set if Thawing
}

// Readable says whether a GET is answered with the object.
func (s State) Readable() bool { return s.Phase == Online || s.Phase == Thawed }

// State is the state of o at now.
func (r Rules) State(o Object, now time.Time) State {
	if o.Class == IntelligentTiering {
		return r.tieredState(o, now)
	}
	if !r.Archives(o.Class) {
		return State{Phase: Online}
	}
	t := o.Thaw
	switch {
	case t == nil || !now.Before(t.Expiry):
		return State{Phase: Cold}
	case now.Before(t.Ready):
		return State{Phase: Thawing, Asked: t.Asked}
	default:
		return State{Phase: Thawed, Expiry: t.Expiry}
	}
}

// tieredState is State for INTELLIGENT_TIERING: an object sinks while it is left alone, and comes back for good when restored.
func (r Rules) tieredState(o Object, now time.Time) State {
	touched := o.Accessed
	if t := o.Thaw; t != nil {
		if now.Before(t.Ready) {
			return State{Phase: Thawing, Access: t.Access, Asked: t.Asked}
		}
		if t.Ready.After(touched) {
			touched = t.Ready
		}
	}
	idle := now.Sub(touched)
	switch {
	case o.Size < r.MinimumSize:
		return State{Phase: Online}
	case r.DeepArchiveAfter > 0 && idle >= r.DeepArchiveAfter:
		return State{Phase: Cold, Access: DeepArchiveAccess}
	case r.ArchiveAfter > 0 && idle >= r.ArchiveAfter:
		return State{Phase: Cold, Access: ArchiveAccess}
	default:
		return State{Phase: Online}
	}
}

// Header is the value of x-amz-restore; empty means that the header is absent.
func (s State) Header() string {
	switch s.Phase {
	case Thawing:
		return `ongoing-request="true"`
	case Thawed:
		return fmt.Sprintf(`ongoing-request="false", expiry-date="%s"`, s.Expiry.UTC().Format(http.TimeFormat))
	default:
		return ""
	}
}
