package walk_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

var (
	benchFiles = flag.Int("walk.files", 1_000_000, "files in the tree of BenchmarkWalk")
	benchDir   = flag.String("walk.dir", "", "where BenchmarkWalk makes its trees, and leaves them for the next time; default: a temporary directory")
)

// BenchmarkWalk walks trees that the system has in memory, and lets find do the
// same in the same run. It takes minutes to make them:
//
//	go test -run '^$' -bench Walk -benchtime 5x -walk.dir /var/tmp/walk ./engine/walk
func BenchmarkWalk(b *testing.B) {
	for _, shape := range []struct {
		name   string
		perDir int
	}{{"nested", 100}, {"small", 8}, {"flat", *benchFiles}} {
		b.Run(shape.name, func(b *testing.B) { benchmarkWalk(b, shape.name, shape.perDir) })
	}
}

func benchmarkWalk(b *testing.B, name string, perDir int) {
	folder := *benchDir
	if folder == "" {
		folder = b.TempDir()
	}
	root := filepath.Join(folder, fmt.Sprintf("%s-%d", name, *benchFiles))
	if _, err := os.Stat(root); err != nil {
		plant(b, root, *benchFiles, perDir)
	}
	find(b, root) // the caches are warm from here on
	tree, err := walk.Open(root)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	runtime.GC()
	resetPeak(b)
	var findTime, walkTime, findCPU, walkCPU time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		wall, cpu := find(b, root)
		findTime, findCPU = findTime+wall, findCPU+cpu
		b.StartTimer()
		start, cpu := time.Now(), cpuTime(b)
		files := 0
		for e, err := range tree.Walk(b.Context(), walk.Options{}) {
			if err != nil || e.Err != nil {
				b.Fatal(err, e.Err)
			}
			if e.Type == index.Regular {
				files++
			}
		}
		if files != *benchFiles {
			b.Fatalf("walked over %d files", files)
		}
		walkTime, walkCPU = walkTime+time.Since(start), walkCPU+cpuTime(b)-cpu
	}
	n := float64(b.N)
	b.ReportMetric(walkTime.Seconds()/findTime.Seconds(), "find-ratio")
	b.ReportMetric(walkCPU.Seconds()/n, "cpu-s/op")
	b.ReportMetric(findTime.Seconds()/n, "find-s/op")
	b.ReportMetric(findCPU.Seconds()/n, "find-cpu-s/op")
	b.ReportMetric(float64(peak(b))/1e6, "peak-MB")
}

// plant makes empty files, so many to a directory and a hundred directories to each
// above.
func plant(b *testing.B, root string, files, perDir int) {
	b.Helper()
	dir := ""
	for i := range files {
		if i%perDir == 0 {
			n := i / perDir
			dir = filepath.Join(root, fmt.Sprintf("volume-%02d", n/10000), fmt.Sprintf("folder %03d", n/100%100), fmt.Sprintf("%d", n%100))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				b.Fatal(err)
			}
		}
		fd, err := unix.Open(dir+fmt.Sprintf("/IMG_%07d.jpeg", i), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(fd)
	}
}

// find runs what the walk is compared with.
func find(b *testing.B, root string) (wall, cpu time.Duration) {
	b.Helper()
	cmd := exec.Command("find", root, "-printf", `%p %s %T@ %i\n`)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	cmd.Stdout = null
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start), cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resetPeak makes the system forget the peak of this process's memory.
func resetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// peak returns the peak of this process's memory in bytes.
func peak(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	b.Fatal("no VmHWM in /proc/self/status")
	return 0
}
