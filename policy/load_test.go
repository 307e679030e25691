package policy

import (
	"testing"
	"time"
)

const design = `
version: 1
archive: photos
stores:
  s3-hot:   {url: "s3://acme-backup/photos", class: STANDARD, region: eu-west-1}
  s3-deep:  {url: "s3://acme-backup/photos-cold", class: DEEP_ARCHIVE, region: eu-west-1}
  ovh-hot:  {url: "swift://duplicity_hot", cloud: ovh}
  ovh-pca:  {url: "pca://duplicity_cold", cloud: ovh}
tiers:
  hot:  {mode: mirror, stores: [s3-hot, ovh-hot], on_failure: abort}
  cold: {mode: stripe, stores: [s3-deep, ovh-pca]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], younger_than: 30d, tier: hot}
  - {kinds: [volume], tier: cold}
thaw: {speed: bulk, keep: 7d, max_cost: 25 USD, deadline: 72h}
prices: aws/eu-west-1
encryption: {recipients: [3AA5C34371567BD2], sign: 0x3AA5C34371567BD2}
retention: {keep_full: 4, keep_for: 1y}
`

func TestSmoke(t *testing.T) {
	p, err := Parse([]byte(design), "isotherm.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Effective()
	t.Logf("%s %v", b, err)
	e := p.Explain("duplicity-full.20240101T000000Z.vol1.difftar.gz", 5, time.Now())
	t.Logf("%+v", e)
	t.Logf("%+v", p.Explain("foo", 5, time.Now()))
}
