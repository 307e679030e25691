package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/tiering"
)

func newLsCommand(app *app) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "ls [PATH...]",
		Short: "List what the archive holds at a time",
		Long: `Ls lists paths, relative to the backup's root, with everything below them; all when
there are none. It reads signatures and indexes, never a volume. With --json each path
is one line; path_b64 holds the bytes of names that are not UTF-8.

Exit codes: 0 done; 1 failed, or a path is not in the backup; 2 usage or policy.`,
		Example: `  isotherm ls
  isotherm ls --time 3D home/anna/photos`,
		GroupID: groupRescue,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.ls(cmd.Context(), at, archivePaths(args))
		},
	}
	timeFlag(cmd, &at)
	return cmd
}

// timeFlag adds --time.
func timeFlag(cmd *cobra.Command, at *string) {
	cmd.Flags().StringVarP(at, "time", "t", "now", "`T`: a date, a time, or an interval back from now, as duplicity takes them")
}

// parseAt reads --time. The zero time stands for the newest state.
func (s *session) parseAt(text string) (time.Time, error) {
	if text == "now" {
		return time.Time{}, nil
	}
	at, err := engine.ParseTime(text, s.tiers.Clock().Now())
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("--time: %w", err)}
	}
	return at, nil
}

// listedPath is a line of ls --json.
type listedPath struct {
	Path    string    `json:"path"`
	PathB64 []byte    `json:"path_b64"`
	Type    string    `json:"type"`
	Mode    string    `json:"mode,omitempty"` // octal
	UID     int       `json:"uid"`
	GID     int       `json:"gid"`
	User    string    `json:"user,omitempty"`
	Group   string    `json:"group,omitempty"`
	ModTime time.Time `json:"mtime"`
	Target  string    `json:"target,omitempty"`
	Size    *int64    `json:"size,omitempty"`   // of a file, if the set has an index
	SHA256  string    `json:"sha256,omitempty"` // of its content; likewise
}

func (a *app) ls(ctx context.Context, at string, paths []string) error {
	return a.withSynced(ctx, tiering.GuardPlan, func(s *session) (err error) {
		t, err := s.parseAt(at)
		if err != nil {
			return err
		}
		a.progress.wait()
		out := bufio.NewWriter(a.stdout)
		defer func() { err = errors.Join(err, out.Flush()) }()
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for e, err := range s.archive.Ls(ctx, t, paths) {
			if err != nil {
				return err
			}
			if a.flags.json {
				err = enc.Encode(asListed(e))
			} else {
				_, err = out.WriteString(lsLine(e))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// lsLine is a line for people: type and mode, owner, time, path. Names that a
// terminal could not show are quoted.
func lsLine(e *engine.Path) string {
	target := ""
	if e.Type == index.Symlink {
		target = " -> " + printable(e.Target)
	}
	return fmt.Sprintf("%c%s %-17s %s  %s%s\n", typeLetter(e.Type), permissions(e.Mode), owner(e),
		stamp(e.ModTime()), printable(shownPath(e.Path)), target)
}

func asListed(e *engine.Path) listedPath {
	l := listedPath{
		Path: shownPath(e.Path), PathB64: []byte(shownPath(e.Path)), Type: e.Type.String(), Mode: fmt.Sprintf("%04o", e.Mode),
		UID: e.UID, GID: e.GID, User: e.Uname, Group: e.Gname,
		ModTime: e.ModTime().UTC(), Target: e.Target,
	}
	if e.Type == index.Regular && e.Exact != nil && e.Exact.Exact {
		l.Size = &e.Exact.Size
	}
	if e.Exact != nil && e.Exact.HasSum {
		l.SHA256 = hex.EncodeToString(e.Exact.Sum[:])
	}
	return l
}

// shownPath is the path as duplicity lists it: the root is ".".
func shownPath(path string) string {
	if path == "" {
		return "."
	}
	return path
}

func owner(e *engine.Path) string {
	user, group := e.Uname, e.Gname
	if user == "" {
		user = strconv.Itoa(e.UID)
	}
	if group == "" {
		group = strconv.Itoa(e.GID)
	}
	return user + ":" + group
}

func typeLetter(t index.Type) byte {
	switch t {
	case index.Directory:
		return 'd'
	case index.Symlink:
		return 'l'
	case index.Fifo:
		return 'p'
	case index.CharDevice:
		return 'c'
	case index.BlockDevice:
		return 'b'
	}
	return '-'
}

// permissions writes mode bits as ls -l does.
func permissions(mode uint32) string {
	text := []byte("rwxrwxrwx")
	for i := range text {
		if mode&(1<<(8-i)) == 0 {
			text[i] = '-'
		}
	}
	for _, special := range []struct {
		bit     uint32
		at      int
		on, off byte
	}{{0o4000, 2, 's', 'S'}, {0o2000, 5, 's', 'S'}, {0o1000, 8, 't', 'T'}} {
		if mode&special.bit == 0 {
			continue
		}
		if text[special.at] == 'x' {
			text[special.at] = special.on
		} else {
			text[special.at] = special.off
		}
	}
	return string(text)
}

// printable quotes a name that holds control characters or is not UTF-8.
func printable(name string) string {
	if quoted := strconv.Quote(name); len(quoted) != len(name)+2 {
		return quoted
	}
	return name
}
