//go:build unix

package servers

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/ncw/swift/v2"
)

const startSwift = `start it in the checkout by: eval "$(internal/servers/swift-up)"; or run .ci/test, which does`

// A SwiftServer is the running Swift with its Keystone. Both are shared by all
// tests of all packages.
type SwiftServer struct {
	URL string // of the proxy, such as http://127.0.0.1:18080

	V1     V1Login // TempAuth, an account's owner
	Reader V1Login // in the same account, with no rights but those of an ACL
	Other  V1Login // the owner of another account

	V3       V3Login // Keystone, a member of a project
	Viewer   V3Login // in the same project, may only read
	Stranger V3Login // a member of another project

	// An application credential of V3's user.
	ApplicationID, ApplicationSecret string

	// The S3 API of the same Swift: for V1's account, and by EC2 credentials for
	// V3's. It has no storage classes and no conditional puts.
	S3, S3V3 S3Login

	// HotPolicy and PCAPolicy are the storage policies: the first is the default,
	// the second seals.
	HotPolicy, PCAPolicy string

	control, events string // files by which pca.py is told times, and tells retrievals
}

// A Login is the way into an account.
type Login interface {
	// Connection returns a client that has not logged in yet. It holds no
	// connections between requests, so it need not be closed.
	Connection() *swift.Connection
}

// A V1Login is a user of TempAuth, the authentication version 1.
type V1Login struct {
	AuthURL, User, Key string
}

// A V3Login is a user of Keystone, the authentication version 3. Regions are GRA
// and SBG; the internal endpoint has the host localhost, the public 127.0.0.1.
type V3Login struct {
	AuthURL, User, Password, Project, Domain, Region string
}

// An S3Login is what an S3 client needs to know; addressing is path-style.
type S3Login struct {
	Endpoint, Region, AccessKey, SecretKey string
}

// Swift returns the running server. It fails the test when there is none.
func Swift(tb testing.TB) *SwiftServer {
	tb.Helper()
	var missing []string
	get := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			missing = append(missing, name)
		}
		return value
	}
	v1 := func(user, key string) V1Login { return V1Login{get("SWIFT_V1_URL"), get(user), get(key)} }
	v3 := func(user, password, project string) V3Login {
		return V3Login{get("OS_AUTH_URL"), get(user), get(password), get(project), get("OS_USER_DOMAIN_NAME"), get("OS_REGION_NAME")}
	}
	s3 := func(access, secret string) S3Login {
		return S3Login{get("SWIFT_S3_ENDPOINT"), get("SWIFT_S3_REGION"), get(access), get(secret)}
	}
	s := &SwiftServer{
		URL:               get("SWIFT_URL"),
		V1:                v1("SWIFT_V1_USER", "SWIFT_V1_KEY"),
		Reader:            v1("SWIFT_READER_USER", "SWIFT_READER_KEY"),
		Other:             v1("SWIFT_OTHER_USER", "SWIFT_OTHER_KEY"),
		V3:                v3("OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME"),
		Viewer:            v3("SWIFT_VIEWER_USERNAME", "SWIFT_VIEWER_PASSWORD", "OS_PROJECT_NAME"),
		Stranger:          v3("SWIFT_STRANGER_USERNAME", "SWIFT_STRANGER_PASSWORD", "SWIFT_STRANGER_PROJECT_NAME"),
		ApplicationID:     get("SWIFT_APP_CREDENTIAL_ID"),
		ApplicationSecret: get("SWIFT_APP_CREDENTIAL_SECRET"),
		S3:                s3("SWIFT_S3_ACCESS_KEY", "SWIFT_S3_SECRET_KEY"),
		S3V3:              s3("SWIFT_EC2_ACCESS_KEY", "SWIFT_EC2_SECRET_KEY"),
		HotPolicy:         get("SWIFT_HOT_POLICY"),
		PCAPolicy:         get("SWIFT_PCA_POLICY"),
		control:           get("SWIFT_PCA_CONTROL"),
		events:            get("SWIFT_PCA_EVENTS"),
	}
	if len(missing) > 0 {
		tb.Fatalf("this test talks to OpenStack Swift, but %s is not set: %s", missing[0], startSwift)
	}
	if err := s.answers(); err != nil {
		tb.Fatalf("this test talks to OpenStack Swift, which does not answer (%v): %s", err, startSwift)
	}
	return s
}

func (s *SwiftServer) answers() error {
	client := http.Client{Transport: transport(), Timeout: time.Minute}
	r, err := client.Get(s.URL + "/healthcheck")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/healthcheck: %s", s.URL, r.Status)
	}
	return nil
}

// Connection implements [Login].
func (l V1Login) Connection() *swift.Connection {
	return patient(&swift.Connection{AuthVersion: 1, AuthUrl: l.AuthURL, UserName: l.User, ApiKey: l.Key})
}

// Connection implements [Login].
func (l V3Login) Connection() *swift.Connection {
	return patient(&swift.Connection{
		AuthVersion: 3, AuthUrl: l.AuthURL, UserName: l.User, ApiKey: l.Password,
		Tenant: l.Project, Domain: l.Domain, TenantDomain: l.Domain, Region: l.Region,
	})
}

// patient gives a client time-outs for slow machines.
func patient(c *swift.Connection) *swift.Connection {
	c.Transport = transport()
	c.ConnectTimeout, c.Timeout = time.Minute, 2*time.Minute
	return c
}

// transport leaves no goroutines behind, which the tests' leak checks would find.
func transport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true}
}
