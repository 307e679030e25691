package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The journal of a restore is a file of JSON lines in its staging. The first
// line says what is restored; each further one records what is finished and
// durable. A last line that is not whole was being written when the restore was
// killed: it is dropped.
const (
	journalName    = "journal"
	journalVersion = 1
	// maxJournalLine bounds what is read as one line. Only paths given by the
	// user are long; a system's limit on arguments is 128 KiB each, 2 MiB in all.
	maxJournalLine = 16 << 20
)

// An Interrupted is a restore that did not end.
type Interrupted struct {
	Archive string    `json:"archive"`
	Time    time.Time `json:"time"`            // that is being restored, of the last set used
	Paths   [][]byte  `json:"paths,omitempty"` // that were asked for; none is everything
	// Digest is that of the need set: volumes are known by their place in it.
	Digest string `json:"digest"`
}

// same reports whether carrying on with o finishes the restore.
func (i *Interrupted) same(o *Interrupted) bool {
	return i.Archive == o.Archive && i.Time.Equal(o.Time) && i.Digest == o.Digest
}

// journalHeader is the first line.
type journalHeader struct {
	Version int `json:"version"`
	Interrupted
}

// journalLine is any other line.
type journalLine struct {
	Skeleton bool    `json:"skeleton,omitempty"` // all but contents stands
	Volume   *int    `json:"volume,omitempty"`   // its place in the need set
	Pieces   []piece `json:"pieces,omitempty"`   // of contents that other volumes continue
}

// A piece is what one volume holds of a content that lies in several.
type piece struct {
	Key    string `json:"key"` // of the content
	Volume int    `json:"volume"`
	First  int    `json:"first"` // part numbers
	Last   int    `json:"last"`
	Offset int64  `json:"offset"` // bytes
	Length int64  `json:"length"`
}

// journal is an open journal. It serves one goroutine at a time.
type journal struct {
	f     *os.File
	lines []journalLine // that were there when it was opened
	fresh bool          // no restore had begun
}

// ReadInterrupted returns what was being restored to dest; the error is
// fs.ErrNotExist when no restore was interrupted there.
func ReadInterrupted(dest string) (*Interrupted, error) {
	f, err := os.Open(filepath.Join(dest, stagingName, journalName))
	if err != nil {
		return nil, err
	}
	header, _, _, err := readJournal(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return header, nil
}

// readJournal returns a journal's header, its whole lines and their length in
// bytes. A journal whose header is not whole does not exist: nothing was done.
func readJournal(r io.Reader) (*Interrupted, []journalLine, int64, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxJournalLine)
	scanner.Split(wholeLines)
	if !scanner.Scan() {
		return nil, nil, 0, errors.Join(scanner.Err(), fs.ErrNotExist)
	}
	var header journalHeader
	if err := json.Unmarshal(scanner.Bytes(), &header); err != nil {
		return nil, nil, 0, fmt.Errorf("journal of an interrupted restore: %w", err)
	}
	if header.Version != journalVersion {
		return nil, nil, 0, fmt.Errorf("journal of an interrupted restore has version %d, not %d", header.Version, journalVersion)
	}
	var lines []journalLine
	size := int64(len(scanner.Bytes())) + 1
	for scanner.Scan() {
		var line journalLine
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			break // torn by a crash: what follows was never durable
		}
		lines = append(lines, line)
		size += int64(len(scanner.Bytes())) + 1
	}
	return &header.Interrupted, lines, size, scanner.Err()
}

// wholeLines is a split function for lines that end in a newline.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF {
		return len(data), nil, bufio.ErrFinalToken
	}
	return 0, nil, nil
}

// openJournal opens the journal in staging to carry on with what; another
// restore's journal is an *OtherRestoreError. A missing one is made. It is locked
// until it is closed; errLocked when it is already.
func openJournal(staging *os.Root, what *Interrupted) (*journal, error) {
	f, err := staging.OpenFile(journalName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{f: f}
	if err := j.lock(staging); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	header, lines, size, err := readJournal(f)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.fresh = true
		err = j.begin(what)
	case err == nil && !header.same(what):
		err = &OtherRestoreError{*header}
	case err == nil:
		j.lines = lines
		err = j.cut(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// lock locks the file, which must still have its name then: a restore that ends
// removes its journal.
func (j *journal) lock(staging *os.Root) error {
	if err := lockFile(j.f, false); err != nil {
		return err
	}
	locked, err := j.f.Stat()
	if err != nil {
		return err
	}
	if named, err := staging.Lstat(journalName); err != nil || !os.SameFile(locked, named) {
		return errLocked
	}
	return nil
}

func (j *journal) begin(what *Interrupted) error {
	if err := j.cut(0); err != nil {
		return err
	}
	return j.write(journalHeader{Version: journalVersion, Interrupted: *what})
}

// cut drops what lies after the whole lines.
func (j *journal) cut(size int64) error {
	if err := j.f.Truncate(size); err != nil {
		return err
	}
	_, err := j.f.Seek(size, io.SeekStart)
	return err
}

// write appends records, each on its line, and makes them durable.
func (j *journal) write(records ...any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, rec := range records {
		if err := enc.Encode(rec); err != nil {
			return err
		}
	}
	if _, err := j.f.Write(b.Bytes()); err != nil {
		return err
	}
	return j.f.Sync()
}

// Close closes the file.
func (j *journal) Close() error { return j.f.Close() }

// An OtherRestoreError says that the destination holds an interrupted restore of
// something else.
type OtherRestoreError struct{ Interrupted Interrupted }

func (e *OtherRestoreError) Error() string {
	return fmt.Sprintf("an interrupted restore of %s at %s lies there", e.Interrupted.Archive, e.Interrupted.Time.UTC().Format(time.RFC3339))
}

// Is reports that an OtherRestoreError is an fs.ErrExist.
func (e *OtherRestoreError) Is(target error) bool { return target == fs.ErrExist }
