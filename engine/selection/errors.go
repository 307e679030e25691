package selection

import (
	"errors"
	"fmt"
)

// Why a rule cannot be used. Each is wrapped in a *RuleError.
var (
	// ErrOutside is duplicity's "file prefix error".
	ErrOutside = errors.New("can match neither the source nor anything below it")
	// ErrPattern is a glob or an expression that is none.
	ErrPattern = errors.New("is no pattern")
	// ErrRedundant is a last rule that only includes.
	ErrRedundant = errors.New("changes nothing")
	// ErrList is a list of files that cannot be used.
	ErrList = errors.New("is no list to work with")
	// ErrValue is a time or size that is none.
	ErrValue = errors.New("has no proper value")
)

// A RuleError is a rule that cannot be used.
type RuleError struct {
	Rule Rule
	Err  error
}

func (e *RuleError) Error() string { return fmt.Sprintf("%s: %v", e.Rule, e.Err) }

func (e *RuleError) Unwrap() error { return e.Err }

func (r Rule) fail(kind error, format string, args ...any) error {
	return &RuleError{Rule: r, Err: fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)}
}
