package coldsim_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
)

// The environment of a process that TestKill starts.
const (
	workerDir  = "COLDSIM_TEST_DIR"
	workerName = "COLDSIM_TEST_NAME"
)

// work puts, thaws and deletes files until it is killed, and says what is done.
func work(dir, name string) {
	s, err := coldsim.New(dir, coldsim.Options{Class: backends.Glacier})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		file := fmt.Sprintf("%s-%06d", name, i)
		if _, err := s.Put(ctx, file, strings.NewReader(file), backends.PutOptions{}); err != nil {
			panic(err)
		}
		fmt.Println("put", file)
		if i%2 == 0 {
			if _, err := s.Thaw(ctx, file, backends.ThawRequest{Speed: backends.Bulk, Keep: day}); err != nil {
				panic(err)
			}
			fmt.Println("thaw", file)
		}
		if i%3 == 0 {
			if err := s.Delete(ctx, file); err != nil {
				panic(err)
			}
			fmt.Println("delete", file)
		}
	}
}

// TestKill kills processes that share a store, again and again: everything that
// they had been told was done is done, and billed once.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	done := make(map[string]string) // last operation on each file
	counts := make(map[string]int)
	unsure := make(map[string]bool) // in whose operation a worker was killed
	last := ""
	const rounds, workers = 6, 2
	for round := range rounds {
		reports := make(chan []string, workers)
		for w := range workers {
			go func() { reports <- runAndKill(t, dir, fmt.Sprintf("round%d-worker%d", round, w)) }()
		}
		for range workers {
			for _, line := range <-reports {
				op, file, _ := strings.Cut(line, " ")
				done[file] = op
				counts[op]++
				last = file
			}
			unsure[last] = true
		}
	}
	s := open(t, dir, coldsim.Options{Class: backends.Glacier})
	infos := make(map[string]backends.Info)
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size != int64(len(info.Name)) {
			t.Errorf("%s has %d bytes", info.Name, info.Size)
		}
		infos[info.Name] = info
	}
	for file, op := range done {
		info, ok := infos[file]
		switch {
		case op == "delete" && ok:
			t.Errorf("%s was deleted and is listed", file)
		case op != "delete" && !ok && !unsure[file]:
			t.Errorf("%s was put and is not listed", file)
		case op == "thaw" && ok && info.State != backends.Thawing:
			t.Errorf("the thaw of %s was answered, and it is %v", file, info.State)
		}
	}
	events, err := coldsim.Bill(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := coldsim.Sum(events)
	for op, billed := range map[string]int{"put": sum.Puts, "thaw": sum.Thaws[backends.Bulk].Requests, "delete": sum.Deletes} {
		// Each worker may have been killed after one more operation.
		if counts[op] == 0 || billed < counts[op] || billed > counts[op]+rounds*workers {
			t.Errorf("%d of operation %s were billed, %d were answered", billed, op, counts[op])
		}
	}
}

// runAndKill starts a worker, kills it after some of its operations, and returns
// those that it had reported.
func runAndKill(t *testing.T, dir, name string) []string {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), workerDir+"="+dir, workerName+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Errorf("start worker: %v", err)
		return nil
	}
	var lines []string
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		if len(lines) == 20 {
			delay := time.Duration(rand.IntN(10_000)) * time.Microsecond
			time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); len(lines) < 20 {
		t.Errorf("worker ended by itself: %v", err)
	}
	return lines
}
