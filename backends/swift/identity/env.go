package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// fromDuplicity reads duplicity's variables, with its defaults (multibackend spec
// section 5; duplicity/backends/swiftbackend.py and pcabackend.py of 0.8.22). The
// version of the identity service is taken from its URL where duplicity would
// fail: an URL that ends in /v3 without AUTHVERSION.
func (s Source) fromDuplicity() (*Credentials, error) {
	d := string(s.Dialect) + "_"
	c := &Credentials{source: s.Prefix + d + "*"}
	if s.get(d+"PREAUTHURL") != "" && s.get(d+"PREAUTHTOKEN") != "" {
		c.storageURL, c.token = s.get(d+"PREAUTHURL"), s.get(d+"PREAUTHTOKEN")
		return c, s.secure(c)
	}
	need := []string{d + "AUTHURL", d + "PASSWORD"}
	if s.get(d+"USERID") == "" {
		need = append(need, d+"USERNAME")
	}
	if err := s.need(need...); err != nil {
		return nil, err
	}
	other := version(1)
	if s.Dialect == PCA {
		other = 2
	}
	c.auth = gophercloud.AuthOptions{
		IdentityEndpoint: s.get(d + "AUTHURL"), Username: s.get(d + "USERNAME"), UserID: s.get(d + "USERID"), Password: s.get(d + "PASSWORD"),
		TenantID: s.get(d + "TENANTID"), TenantName: s.get(d + "TENANTNAME"),
		DomainID: s.get(d + "USER_DOMAIN_ID"), DomainName: s.get(d + "USER_DOMAIN_NAME"),
	}
	c.region = s.get(d + "REGIONNAME")
	return s.complete(c, s.get(d+"AUTHVERSION"), other, gophercloud.AuthScope{
		DomainID: s.get(d + "PROJECT_DOMAIN_ID"), DomainName: s.get(d + "PROJECT_DOMAIN_NAME"),
	}, s.get(d+"ENDPOINT_TYPE"))
}

// fromOpenStack reads the variables of openrc files and of the openstack and
// swift commands.
func (s Source) fromOpenStack() (*Credentials, error) {
	c := &Credentials{source: s.Prefix + "OS_*", storageURL: s.get("OS_STORAGE_URL"), region: s.get("OS_REGION_NAME")}
	token := s.get("OS_TOKEN", "OS_AUTH_TOKEN")
	if c.storageURL != "" && token != "" {
		c.token = token
		return c, s.secure(c)
	}
	if err := s.need("OS_AUTH_URL"); err != nil {
		return nil, err
	}
	c.auth = gophercloud.AuthOptions{
		IdentityEndpoint: s.get("OS_AUTH_URL"), Username: s.get("OS_USERNAME"), UserID: s.get("OS_USER_ID", "OS_USERID"), Password: s.get("OS_PASSWORD"),
		TenantID: s.get("OS_PROJECT_ID", "OS_TENANT_ID"), TenantName: s.get("OS_PROJECT_NAME", "OS_TENANT_NAME"),
		DomainID: s.get("OS_USER_DOMAIN_ID", "OS_DEFAULT_DOMAIN"), DomainName: s.get("OS_USER_DOMAIN_NAME"),
		ApplicationCredentialID: s.get("OS_APPLICATION_CREDENTIAL_ID"), ApplicationCredentialName: s.get("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: s.get("OS_APPLICATION_CREDENTIAL_SECRET"), TokenID: token,
	}
	switch {
	case strings.Contains(s.get("OS_AUTH_TYPE"), "applicationcredential"):
		c.auth.Password, c.auth.TokenID = "", ""
	case c.auth.Password == "" && c.auth.ApplicationCredentialSecret == "" && token == "":
		return nil, s.need("OS_PASSWORD")
	}
	return s.complete(c, s.get("OS_IDENTITY_API_VERSION", "OS_AUTH_VERSION"), 3, gophercloud.AuthScope{
		DomainID: s.get("OS_PROJECT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"), DomainName: s.get("OS_PROJECT_DOMAIN_NAME"), TrustID: s.get("OS_TRUST_ID"),
	}, s.get("OS_INTERFACE", "OS_ENDPOINT_TYPE"))
}

// fromST reads the variables of the swift command for v1.
func (s Source) fromST() (*Credentials, error) {
	if err := s.need("ST_USER", "ST_KEY"); err != nil {
		return nil, err
	}
	c := &Credentials{source: s.Prefix + "ST_*"}
	c.auth = gophercloud.AuthOptions{IdentityEndpoint: s.get("ST_AUTH"), Username: s.get("ST_USER"), Password: s.get("ST_KEY")}
	return s.complete(c, s.get("ST_AUTH_VERSION"), 1, gophercloud.AuthScope{}, "")
}

// complete fills in what follows from the rest; domain is that of the project.
func (s Source) complete(c *Credentials, written string, other version, domain gophercloud.AuthScope, endpoint string) (*Credentials, error) {
	var err error
	if c.version, err = versionOf(written, c.auth.IdentityEndpoint, other); err != nil {
		return nil, err
	}
	if c.endpoint, err = endpointOf(endpoint); err != nil {
		return nil, err
	}
	if c.version == 3 {
		c.auth = forV3(c.auth, domain)
	}
	return c, s.secure(c)
}

// forV3 states the scope, and leaves out what Keystone v3 takes for a
// contradiction. A domain that is not named is the one with the ID "default", as
// for other programs.
func forV3(o gophercloud.AuthOptions, scope gophercloud.AuthScope) gophercloud.AuthOptions {
	project, projectID := o.TenantName, o.TenantID
	o.TenantName, o.TenantID = "", ""
	domain(&o.DomainID, &o.DomainName)
	if o.UserID != "" {
		o.Username, o.DomainID, o.DomainName = "", "", ""
	}
	switch {
	case o.Password != "":
		o.TokenID, o.ApplicationCredentialID, o.ApplicationCredentialName, o.ApplicationCredentialSecret = "", "", "", ""
	case o.TokenID != "":
		o.Username, o.UserID, o.DomainID, o.DomainName = "", "", "", ""
	default:
		return o // an application credential has its project in itself
	}
	switch {
	case scope.TrustID != "":
		o.Scope = &gophercloud.AuthScope{TrustID: scope.TrustID}
	case projectID != "":
		o.Scope = &gophercloud.AuthScope{ProjectID: projectID}
	case project != "":
		domain(&scope.DomainID, &scope.DomainName)
		o.Scope = &gophercloud.AuthScope{ProjectName: project, DomainID: scope.DomainID, DomainName: scope.DomainName}
	}
	return o
}

// domain makes one of the two stand for a domain.
func domain(id, name *string) {
	switch {
	case *id != "":
		*name = ""
	case *name == "":
		*id = "default"
	}
}

// secure reads OS_CACERT.
func (s Source) secure(c *Credentials) error {
	path := s.get("OS_CACERT")
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %sOS_CACERT: %w", s.Prefix, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%sOS_CACERT: %s holds no certificate", s.Prefix, path)
	}
	c.tls = &tls.Config{RootCAs: pool}
	return nil
}
