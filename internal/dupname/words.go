package dupname

import "fmt"

// kinds holds the words of the kinds by their value.
var kinds = [...]string{Other: "other", Manifest: "manifest", Signature: "signature", Volume: "volume"}

// String returns the kind's word: manifest, signature, volume or other.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// MarshalText writes the kind as its word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's word.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, word := range kinds {
		if word == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no kind of file: manifest, signature, volume or other", text)
}

// String returns full or incremental.
func (t SetType) String() string {
	switch t {
	case Full:
		return "full"
	case Incremental:
		return "incremental"
	}
	return fmt.Sprintf("SetType(%d)", uint8(t))
}

// MarshalText writes the type as its word.
func (t SetType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
