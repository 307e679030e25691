package identity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	tokens2 "github.com/gophercloud/gophercloud/v2/openstack/identity/v2/tokens"
	tokens3 "github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/isotherm-backup/isotherm/backends"
)

// service is the type of Swift in catalogues.
const service = "object-store"

// endpoint is an address of an object store.
type endpoint struct {
	regions []string // its names; v3 has an ID as well
	kind    gophercloud.Availability
	url     string
}

func endpointsV3(c *tokens3.ServiceCatalog) []endpoint {
	var all []endpoint
	for _, entry := range c.Entries {
		if entry.Type != service {
			continue
		}
		for _, e := range entry.Endpoints {
			all = append(all, endpoint{[]string{e.Region, e.RegionID}, gophercloud.Availability(e.Interface), e.URL})
		}
	}
	return all
}

func endpointsV2(c *tokens2.ServiceCatalog) []endpoint {
	var all []endpoint
	for _, entry := range c.Entries {
		if entry.Type != service {
			continue
		}
		for _, e := range entry.Endpoints {
			regions := []string{e.Region}
			all = append(all, endpoint{regions, gophercloud.AvailabilityPublic, e.PublicURL},
				endpoint{regions, gophercloud.AvailabilityInternal, e.InternalURL}, endpoint{regions, gophercloud.AvailabilityAdmin, e.AdminURL})
		}
	}
	return all
}

// choose returns the address in the region. Without a region it is the first, as
// for python-swiftclient and so for duplicity.
func (c *Credentials) choose(all []endpoint) (string, error) {
	var regions []string
	for _, e := range all {
		if e.kind != c.endpoint || e.url == "" {
			continue
		}
		if c.region == "" || slices.Contains(e.regions, c.region) {
			return strings.TrimSuffix(e.url, "/"), nil
		}
		regions = append(regions, e.regions[0])
	}
	if len(regions) > 0 {
		slices.Sort(regions)
		return "", fmt.Errorf("the catalogue has no object store in region %s, but in %s: %w", c.region, strings.Join(slices.Compact(regions), ", "), backends.ErrUnsupported)
	}
	return "", fmt.Errorf("the catalogue has no %s address of an object store for this project: %w", c.endpoint, backends.ErrUnsupported)
}
