package policy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// multiStore is a store and what duplicity knew of it.
type multiStore struct {
	Store
	prefixes []string
	note     string // what the user has to know
	// env are variables that duplicity set for the store and that stay outside the
	// policy. When one of them has another value at another store, all have names
	// of their own, by env_prefix.
	env        []string
	passphrase bool
}

// differs reports whether stores give a variable different values, which one
// environment cannot hold.
func differs(entries []multiEntry, name string) bool {
	values := make(map[string]bool)
	for _, e := range entries {
		for _, v := range e.Env {
			if v.Name == name {
				values[v.Value] = true
			}
		}
	}
	return len(values) > 1
}

// addEnv notes a variable that duplicity set for the store, and perhaps for
// others with other values.
func (s *multiStore) addEnv(name string, others bool) {
	if !envName(name) {
		return // os.environ takes it, no shell does
	}
	prefix := strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_")) + "_"
	variable := name
	if others {
		variable = prefix + name
	}
	scheme, _, _ := strings.Cut(s.URL, ":")
	switch {
	case strings.HasSuffix(name, "_REGIONNAME") && (scheme == "swift" || scheme == "pca"),
		(name == "AWS_REGION" || name == "AWS_DEFAULT_REGION") && scheme == "s3":
		s.Region = "${env:" + variable + "}"
	case name == "AWS_PROFILE" && scheme == "s3":
		s.Options["profile"] = "${env:" + variable + "}"
	case name == "PASSPHRASE":
		s.passphrase = true
	case !slices.Contains(s.env, name):
		s.env = append(s.env, name)
		if others && scheme != "file" {
			s.Options["env_prefix"] = prefix
		}
	}
}

func envName(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// convertURL turns duplicity's URL of a store into ours.
func convertURL(raw string) (multiStore, error) {
	s := multiStore{Store: Store{Options: map[string]string{}}}
	u, err := url.Parse(raw)
	if err != nil {
		return s, errors.New("its url cannot be read") // the error would repeat it, with any password
	}
	if u.User != nil {
		return s, fmt.Errorf("the url %s holds credentials: remove them from it, and keep them where the service's own tools do", u.Redacted())
	}
	path := strings.Trim(u.EscapedPath(), "/")
	switch u.Scheme {
	case "file":
		s.URL = "file:///" + path
		if u.Host != "" {
			return s, fmt.Errorf("%s is a relative directory: write file:// and an absolute path", raw)
		}
	case "swift", "pca":
		s.URL = joinURL(u.Scheme, u.Host, path)
	case "s3", "boto3+s3", "s3+http", "boto+s3":
		s.fromS3(u, path)
	case "multi":
		return s, fmt.Errorf("%s: a multibackend within another is not supported; list its stores here", raw)
	case "":
		return s, fmt.Errorf("%q is no url", raw)
	default:
		return s, fmt.Errorf("%s: Isotherm has no store for %s://; take it out, or make its files reachable as file:///", u.Redacted(), u.Scheme)
	}
	return s, nil
}

// fromS3 knows the two ways to write an S3 URL: s3:///bucket/prefix (3.x) or
// boto3+s3://bucket/prefix, and s3://host/bucket/prefix (0.8 with boto 2).
func (s *multiStore) fromS3(u *url.URL, path string) {
	host := u.Host
	if host == "" || u.Scheme == "s3" && (u.Port() != "" || strings.Contains(host, ".")) {
		if host != "" && !strings.HasSuffix(host, "amazonaws.com") {
			s.Options["endpoint"] = "https://" + host
		}
		host, path, _ = strings.Cut(path, "/")
	}
	s.URL = joinURL("s3", host, path)
	s.note = "write its class: duplicity's --s3-use-deep-archive is DEEP_ARCHIVE, --s3-use-glacier GLACIER"
}

func joinURL(scheme, host, path string) string {
	return strings.TrimSuffix(scheme+"://"+host+"/"+path, "/")
}

// comment says what the user has to know of a store; "" for nothing.
func (s multiStore) comment() string {
	var lines []string
	scheme, _, _ := strings.Cut(s.URL, ":")
	elsewhere := map[string]string{
		"swift": "an entry of clouds.yaml: cloud: NAME",
		"pca":   "an entry of clouds.yaml: cloud: NAME",
		"s3":    "a profile of AWS's configuration: profile: NAME",
	}[scheme]
	prefix := s.Options["env_prefix"]
	if len(s.env) > 0 {
		line := "duplicity was given " + oneAndAll(s.env) + " for this store"
		switch {
		case prefix != "":
			own := make([]string, len(s.env))
			for i, name := range s.env {
				own[i] = prefix + name
			}
			line += ", and\nother values for another store: set " + oneAndAll(own) + " in the environment of isotherm,\nor name " +
				elsewhere + ", in place of env_prefix"
		case elsewhere != "":
			line += ":\nset the same in the environment of isotherm, or name " + elsewhere
		}
		lines = append(lines, line)
	}
	if s.note != "" {
		lines = append(lines, s.note)
	}
	return strings.Join(lines, "\n")
}
