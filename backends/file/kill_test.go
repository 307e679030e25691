package file_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
)

// workerDir is the environment of a process that TestKill starts.
const workerDir = "FILE_TEST_DIR"

// work puts ever new versions of a few files until it is killed.
func work(dir string) {
	s, err := file.New(dir, file.Options{})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		body := bytes.NewReader(bytes.Repeat([]byte{byte('a' + i%26)}, 500_000+i))
		if _, err := s.Put(context.Background(), fmt.Sprintf("file-%d", i%3), body, backends.PutOptions{}); err != nil {
			panic(err)
		}
		fmt.Println(i)
	}
}

// TestKill kills a writer again and again: every file is a whole version.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for range 5 {
		kill(t, dir)
		names, err := list(t.Context(), s)
		if err != nil || strings.Join(names, " ") != "file-0 file-1 file-2" {
			t.Fatalf("after a writer was killed there are %q, %v", names, err)
		}
		for _, name := range names {
			body, err := s.Get(t.Context(), name, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(body)
			body.Close()
			i := len(data) - 500_000
			if err != nil || i < 0 || !bytes.Equal(data, bytes.Repeat([]byte{byte('a' + i%26)}, len(data))) {
				t.Errorf("%s has %d bytes, %v: no version that was put", name, len(data), err)
			}
		}
	}
}

func kill(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), workerDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if n == 3 {
			time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("writer ended by itself")
	}
}
