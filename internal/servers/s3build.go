//go:build unix

package servers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// s3Binary returns the path of s3archive: $ISOTHERM_S3ARCHIVE, or else one that is
// built from the checkout, once for each process. That takes minutes when Go's
// build cache is empty, and a moment when it is not.
var s3Binary = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv("ISOTHERM_S3ARCHIVE"); binary != "" {
		return binary, nil
	}
	source, err := s3Source()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	// One for each checkout, as they may differ.
	dir := filepath.Join(cache, "isotherm-tests", fmt.Sprintf("%x", sha256.Sum256([]byte(source)))[:16])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// The packages' tests run at once.
	unlock, err := lockedfile.MutexAt(filepath.Join(dir, "lock")).Lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	binary := filepath.Join(dir, "s3archive")
	return binary, goBuild(source, binary)
})

// s3Source is the folder of s3archive's module, beside this one's.
func s3Source() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	return filepath.Join(filepath.Dir(string(bytes.TrimSpace(out))), "cmd", "s3archive"), nil
}

func goBuild(source, binary string) error {
	cmd := exec.Command("go", "-C", source, "build", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", source, err, out)
	}
	return nil
}
