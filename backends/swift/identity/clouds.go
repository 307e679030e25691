package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"gopkg.in/yaml.v3"
)

// publicClouds are the profiles that are known without a clouds-public.yaml
// (openstacksdk, vendors/ovh.json).
const publicClouds = "public-clouds: {ovh: {auth: {auth_url: 'https://auth.cloud.ovh.net/v3'}}}"

// fromCloud reads an entry of clouds.yaml, with secure.yaml beside it.
func (s Source) fromCloud(name string) (*Credentials, error) {
	path, err := s.cloudsFile()
	if err != nil {
		return nil, err
	}
	entry, err := readCloud(path, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// The options replace what Parse would take from this process's variables.
	parsed := []clouds.ParseOption{
		clouds.WithCloudName(name), clouds.WithLocations(path), clouds.WithRegion(s.get("OS_REGION_NAME")), clouds.WithEndpointType(s.get("OS_INTERFACE")),
	}
	if public := s.beside("clouds-public.yaml"); public != "" {
		parsed = append(parsed, clouds.WithPublicLocations(public))
	} else {
		parsed = append(parsed, clouds.WithCloudsPublicYAML(strings.NewReader(publicClouds)))
	}
	auth, endpoint, secured, err := clouds.Parse(parsed...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, withoutValues(err))
	}
	c := &Credentials{source: "cloud " + name + " in " + path, region: endpoint.Region, endpoint: endpoint.Availability}
	if secured.RootCAs != nil || secured.InsecureSkipVerify || len(secured.Certificates) > 0 {
		c.tls = secured
	}
	if c.version, err = entry.version(auth.IdentityEndpoint); err != nil {
		return nil, fmt.Errorf("%s: cloud %s: %w", path, name, err)
	}
	if c.version == 3 {
		scope := auth.Scope
		if scope == nil {
			scope = new(gophercloud.AuthScope)
		}
		auth = forV3(auth, *scope)
	}
	c.auth = auth
	return c, nil
}

// cloudEntry is what gophercloud does not tell of an entry of clouds.yaml.
type cloudEntry struct {
	AuthType   string    `yaml:"auth_type"`
	APIVersion string    `yaml:"identity_api_version"`
	Cloud      string    `yaml:"cloud"`
	Profile    string    `yaml:"profile"`
	Auth       *struct{} `yaml:"auth"`
}

// version is that of the auth_type (v1password, v2password, v3token and so on),
// of identity_api_version or of the URL, or 3.
func (e cloudEntry) version(authURL string) (version, error) {
	if e.AuthType != "" && e.AuthType[0] == 'v' {
		return versionOf(e.AuthType[:min(2, len(e.AuthType))], authURL, 3)
	}
	return versionOf(e.APIVersion, authURL, 3)
}

// readCloud reads an entry. One without auth, here or in secure.yaml, is an
// error.
func readCloud(path, name string) (cloudEntry, error) {
	var entry cloudEntry
	found, auth := false, false
	for _, file := range []string{path, filepath.Join(filepath.Dir(path), "secure.yaml")} {
		src, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && file != path {
			continue
		}
		if err != nil {
			return entry, err
		}
		var all struct {
			Clouds map[string]cloudEntry `yaml:"clouds"`
		}
		if err := yaml.Unmarshal(src, &all); err != nil {
			return entry, withoutValues(err)
		}
		e, ok := all.Clouds[name]
		auth = auth || e.Auth != nil
		if file == path {
			entry, found = e, ok
		}
	}
	switch {
	case !found:
		return entry, fmt.Errorf("there is no cloud %q: %w", name, fs.ErrPermission)
	case !auth:
		return entry, fmt.Errorf("cloud %q has no auth: %w", name, fs.ErrPermission)
	}
	return entry, nil
}

// withoutValues removes from an error about YAML the values that it quotes,
// which may be secrets.
func withoutValues(err error) error {
	return errors.New(regexp.MustCompile("`[^`]*`|'[^']*'").ReplaceAllString(err.Error(), "..."))
}

// cloudsFile returns the path of clouds.yaml: that of OS_CLIENT_CONFIG_FILE, or
// the first that there is in the usual places.
func (s Source) cloudsFile() (string, error) {
	if path := s.get("OS_CLIENT_CONFIG_FILE"); path != "" {
		return path, nil
	}
	bare := s
	bare.Prefix = ""
	if path := bare.get("OS_CLIENT_CONFIG_FILE"); path != "" {
		return path, nil
	}
	if path := s.beside("clouds.yaml"); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("there is no clouds.yaml in %s: %w", strings.Join(s.folders(), ", "), fs.ErrPermission)
}

// beside returns the path of a file in the first of the usual places that has
// it, or "".
func (s Source) beside(name string) string {
	for _, folder := range s.folders() {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// folders are the usual places of clouds.yaml
// (docs.openstack.org/openstacksdk, "Configuring OpenStack SDK Applications").
func (s Source) folders() []string {
	folders := []string{"."}
	bare := s
	bare.Prefix = ""
	if config := bare.get("XDG_CONFIG_HOME"); config != "" {
		folders = append(folders, filepath.Join(config, "openstack"))
	} else if home := bare.get("HOME", "USERPROFILE"); home != "" {
		folders = append(folders, filepath.Join(home, ".config", "openstack"))
	}
	return append(folders, "/etc/openstack")
}
