package policy

import "net/url"

func (p *Policy) Effective() ([]byte, error) { return nil, nil }
func FromMultibackend(config []byte, query url.Values, archive string) ([]byte, error) {
	return nil, nil
}

type TemplateOptions struct{ Archive string }

func Template(o TemplateOptions) []byte { return nil }
func Schema() []byte                    { return nil }
