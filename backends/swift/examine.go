package swift

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/isotherm-backup/isotherm/backends"
)

// Examine implements [backends.Examiner]. It asks for the container, the account
// and the container of segments.
func (s *Store) Examine(ctx context.Context) (backends.Setup, error) {
	if err := s.open(ctx); err != nil {
		return backends.Setup{}, err
	}
	setup, err := s.examine(ctx)
	return setup, wrap("examine container", s.cfg.Container, err)
}

func (s *Store) examine(ctx context.Context) (backends.Setup, error) {
	var setup backends.Setup
	p, err := s.look(ctx)
	if err != nil {
		return setup, err
	}
	asked := time.Now()
	h, err := s.do(ctx, request{method: http.MethodHead, container: s.cfg.Container})
	if err != nil {
		return setup, err
	}
	setup.Provider, err = s.provider(ctx)
	if err != nil {
		return setup, err
	}
	setup.Skew = skew(h, asked, time.Now())
	setup.Notes = append(setup.Notes, fmt.Sprintf("The storage policy is %s.", s.class(p)))
	examineContainer(&setup, h)
	if err := s.examineSegments(ctx, &setup, p); err != nil {
		return setup, err
	}
	return setup, s.examineAccount(ctx, &setup)
}

// provider names whose service it is by its address.
func (s *Store) provider(ctx context.Context) (string, error) {
	conn, err := s.connect(ctx, nil)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(conn.StorageUrl)
	if err != nil {
		return "", fmt.Errorf("the address of the object store is none: %w", backends.ErrUnsupported)
	}
	host := "." + u.Hostname()
	for provider, domains := range map[string][]string{
		"ovh":       {".ovh.net", ".ovh.us", ".ovh.ca"},
		"rackspace": {".clouddrive.com", ".rackspacecloud.com"},
	} {
		for _, domain := range domains {
			if strings.HasSuffix(host, domain) {
				return provider, nil
			}
		}
	}
	return "swift", nil
}

// skew is how far the service's clock is ahead. Its date is cut to a second.
func skew(h http.Header, asked, answered time.Time) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	d := date.Add(time.Second / 2).Sub(asked.Add(answered.Sub(asked) / 2))
	if d.Abs() < time.Second {
		return 0
	}
	return d.Round(time.Second)
}

// examineContainer reads what the header of the container tells.
func examineContainer(setup *backends.Setup, h http.Header) {
	for _, name := range []string{"X-Versions-Enabled", "X-Versions-Location", "X-History-Location"} {
		if v := h.Get(name); v != "" && !strings.EqualFold(v, "false") {
			setup.Versioning = true
		}
	}
	if strings.Contains(h.Get("X-Container-Read"), ".r:*") {
		setup.Notes = append(setup.Notes, "Anybody on the network can read the container (X-Container-Read).")
	}
	setup.Notes = append(setup.Notes, quota("container", h.Get("X-Container-Meta-Quota-Count"), h.Get("X-Container-Object-Count"), files)...)
	setup.Notes = append(setup.Notes, quota("container", h.Get("X-Container-Meta-Quota-Bytes"), h.Get("X-Container-Bytes-Used"), size)...)
}

// examineAccount tells the quota of the account, which not everybody may see.
func (s *Store) examineAccount(ctx context.Context, setup *backends.Setup) error {
	h, err := s.do(ctx, request{method: http.MethodHead})
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		setup.Denied = append(setup.Denied, "HEAD of the account")
		return nil
	}
	if err != nil {
		return err
	}
	setup.Notes = append(setup.Notes, quota("account", h.Get("X-Account-Meta-Quota-Bytes"), h.Get("X-Account-Bytes-Used"), size)...)
	return nil
}

func (s *Store) examineSegments(ctx context.Context, setup *backends.Setup, p *place) error {
	name := s.segmentsContainer()
	h, err := s.do(ctx, request{method: http.MethodHead, container: name})
	switch statusOf(err) {
	case http.StatusNotFound:
		return nil
	case http.StatusForbidden:
		setup.Denied = append(setup.Denied, "HEAD of container "+name)
		return nil
	}
	if err != nil {
		return err
	}
	note := fmt.Sprintf("Container %s holds %s of large files' segments, %s.", name, files(number(h.Get("X-Container-Object-Count"))), size(number(h.Get("X-Container-Bytes-Used"))))
	if policy := h.Get("X-Storage-Policy"); policy != "" && p.policy != "" && policy != string(p.policy) {
		note += fmt.Sprintf(" Its storage policy is %s: large files cost what that does, and cannot be added.", policy)
	}
	setup.Notes = append(setup.Notes, note)
	return nil
}

// quota tells a limit, if there is one, and how much of it is used.
func quota(of, limit, used string, show func(int64) string) []string {
	if limit == "" {
		return nil
	}
	return []string{fmt.Sprintf("The %s may hold %s at the most, and holds %s.", of, show(number(limit)), show(number(used)))}
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func files(n int64) string { return humanize.Comma(n) + " files" }

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
