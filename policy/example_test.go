package policy_test

import (
	"fmt"
	"net/url"
	"time"

	"github.com/isotherm-backup/isotherm/policy"
)

const small = `
version: 1
archive: photos
stores:
  hot: {url: "file:///srv/hot"}
  cold: {url: "coldsim:///srv/cold", class: DEEP_ARCHIVE}
tiers:
  hot: {stores: [hot]}
  cold: {stores: [cold]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], smaller_than: 1MiB, tier: hot}
  - {kinds: [volume], tier: cold}
`

func ExamplePolicy_Route() {
	p, err := policy.Parse([]byte(small), "isotherm.yaml", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{
		"duplicity-full.20240101T000000Z.manifest.gpg",
		"duplicity-full.20240101T000000Z.vol1.difftar.gpg",
		"letter.txt",
	} {
		d := p.Route(name, 50<<20, time.Now())
		fmt.Println(d.Kind, d.Tiers, d.Why)
	}
	// Output:
	// manifest [hot] kind is manifest or signature
	// volume [cold] kind is volume
	// other [hot] none of duplicity's files, and no route names it: it goes where the manifests are readable
}

func ExampleParse() {
	_, err := policy.Parse([]byte("version: 1\narchive: photos\nstore: {}\n"), "isotherm.yaml", nil)
	fmt.Println(err)
	// Output:
	// isotherm.yaml:1:1: "stores" is missing; add "stores"
	// isotherm.yaml:1:1: "tiers" is missing; add "tiers"
	// isotherm.yaml:1:1: "routes" is missing; add "routes"
	// isotherm.yaml:3:1: unknown key "store"; did you mean "stores"?
}

func ExampleFromMultibackend() {
	config := `[
	  {"description": "hot", "url": "swift://duplicity_hot", "prefixes": ["hot_"]},
	  {"description": "cold", "url": "pca://duplicity_cold", "prefixes": ["cold_"],
	   "env": [{"name": "PCA_PASSWORD", "value": "never copied"}]}
	]`
	src, err := policy.FromMultibackend([]byte(config), url.Values{"mode": {"mirror"}, "onfail": {"abort"}}, "photos")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(src))
	// Output:
	// # Made of duplicity's multibackend configuration, mode=mirror&onfail=abort.
	// # `isotherm check` tells whether it is right.
	// version: 1
	// archive: photos
	// stores:
	//   hot:
	//     url: swift://duplicity_hot
	//   # duplicity was given PCA_PASSWORD for this store:
	//   # set the same in the environment of isotherm, or name an entry of clouds.yaml: cloud: NAME
	//   cold:
	//     url: pca://duplicity_cold
	// tiers:
	//   cold:
	//     mode: mirror
	//     stores: [cold]
	//     on_failure: abort
	//   hot:
	//     mode: mirror
	//     stores: [hot]
	//     on_failure: abort
	// # First match wins. A prefix stands for duplicity's affinity; names without one
	// # go to all stores. Manifests and signatures are never sent to cold stores only.
	// routes:
	//   - prefix: cold_
	//     tiers: [cold]
	//   - prefix: hot_
	//     tiers: [hot]
	//   - tiers: [hot, cold]
}
