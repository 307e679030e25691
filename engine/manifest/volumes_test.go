package manifest

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadWithoutFiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../testdata/duplicity/plain-gz/archive/duplicity-full.20240101T000000Z.manifest")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Read(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadVolumes(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	want.Files = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	cut := strings.TrimRight(string(text), "\n")
	cut = cut[:strings.LastIndexByte(cut, '\n')+1]
	if _, err := ReadVolumes(strings.NewReader(cut)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line is missing: error %v, want io.ErrUnexpectedEOF", err)
	}
}
