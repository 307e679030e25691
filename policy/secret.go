package policy

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that never shows: every way of printing it gives
// "[redacted]". Convert it to a string to use it.
type Secret string

const redacted = "[redacted]"

func (Secret) String() string { return redacted }

// Format keeps the secret out of every verb, wrong ones too.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Secret) MarshalYAML() (any, error)    { return redacted, nil }

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
