//go:build unix

package s3_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends"
)

// TestTLS: the certificates that AWS_CA_BUNDLE names are trusted, and others are
// refused at once.
func TestTLS(t *testing.T) {
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	target, err := url.Parse(a.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	tls := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	defer tls.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	c := a.config("bucket")
	c.Endpoint, c.Waits, c.MultipartAbove, c.PartSize = tls.URL, quick(), 5<<20, 5<<20

	t.Setenv("AWS_CA_BUNDLE", "")
	_, err = open(t, c).Stat(t.Context(), "file")
	if err == nil || errors.Is(err, backends.ErrTransient) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Stat at a server that nobody vouches for: %v", err)
	}
	t.Setenv("AWS_CA_BUNDLE", write(t, string(certificate)))
	s := open(t, c)
	for name, size := range map[string]int{"small": 10, "parts": 6 << 20} {
		data := noise(1, size)
		if _, err := s.Put(t.Context(), name, bytes.NewReader(data), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, name); !bytes.Equal(got, data) {
			t.Errorf("%s is not what was put", name)
		}
	}
}
