// Package glacier knows what the archive storage classes of S3 do: which objects can be read when, what a restore
// request is answered, how long it takes and when its copy ends. It is pure: time and chance are parameters.
package glacier

import (
	"slices"
	"time"
)

// Class is the wire name of a storage class.
type Class string

// The classes that this server knows. An object without a class is in Standard.
const (
	Standard           Class = "STANDARD"
	ReducedRedundancy  Class = "REDUCED_REDUNDANCY"
	StandardIA         Class = "STANDARD_IA"
	OneZoneIA          Class = "ONEZONE_IA"
	IntelligentTiering Class = "INTELLIGENT_TIERING"
	GlacierIR          Class = "GLACIER_IR"
	Glacier            Class = "GLACIER"
	DeepArchive        Class = "DEEP_ARCHIVE"
	ExpressOneZone     Class = "EXPRESS_ONEZONE"
)

// Flavour names the provider whose deviations are played.
type Flavour string

// The flavours. The zero value counts as AWS.
const (
	AWS      Flavour = "aws"
	OVH      Flavour = "ovh"
	Scaleway Flavour = "scaleway"
)

// Accept returns the class that an upload which asks for class is stored in; ok is false if the service refuses the name.
// An empty name asks for Standard.
//
// AWS: the classes of a general purpose bucket (user guide, "Understanding and managing Amazon S3 storage classes").
// OVHcloud: names that the region lacks are stored as STANDARD, and GLACIER is a name of its online Active Archive
// (OVHcloud guide "Endpoints and Object Storage geoavailability"). Scaleway: STANDARD, ONEZONE_IA and GLACIER.
func (r Rules) Accept(class string) (c Class, ok bool) {
	if class == "" {
		return Standard, true
	}
	c = Class(class)
	switch r.Flavour {
	case OVH:
		if c == IntelligentTiering || c == ReducedRedundancy {
			return Standard, true
		}
		return c, slices.Contains([]Class{Standard, StandardIA, OneZoneIA, GlacierIR, Glacier, DeepArchive, ExpressOneZone}, c)
	case Scaleway:
		return c, slices.Contains([]Class{Standard, OneZoneIA, Glacier}, c)
	default:
		return c, slices.Contains([]Class{
			Standard, ReducedRedundancy, StandardIA, OneZoneIA, IntelligentTiering, GlacierIR, Glacier, DeepArchive,
		}, c)
	}
}

// Archives says whether objects of class c cannot be read before a restore. Intelligent-Tiering is not among them: its
// archive tiers depend on the object.
func (r Rules) Archives(c Class) bool {
	if r.Flavour == OVH {
		return c == DeepArchive
	}
	return c == Glacier || c == DeepArchive
}

// Rules are the settings that decide about restores. All times are the server's own, which may run faster than real ones.
type Rules struct {
	Flavour Flavour

	// How long restores take; the objects of one request set are spread between the two ends.
	Expedited, Standard, Bulk Range // from GLACIER and the Archive Access tier
	DeepStandard, DeepBulk    Range // from DEEP_ARCHIVE and the Deep Archive Access tier

	// Day is the length of a day of a restored copy. With 24 h the copy ends at midnight UTC, as the service counts.
	Day time.Duration

	// How long an INTELLIGENT_TIERING object is left alone before it moves to an archive tier; 0 for never, as it is at AWS
	// without a configuration.
	ArchiveAfter, DeepArchiveAfter time.Duration
	// MinimumSize is the size in bytes below which INTELLIGENT_TIERING leaves an object in the Frequent Access tier.
	MinimumSize int64

	// RefuseExpedited answers Expedited requests as at busy times without provisioned capacity.
	RefuseExpedited bool
}
