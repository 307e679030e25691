package backends

// Conditional is implemented by stores of which only some keep PutOptions.IfAbsent
// against other writers.
type Conditional interface {
	// Conditional reports whether of several Puts with IfAbsent of one name at once
	// only one succeeds. Where it is false the store looks before it puts, which
	// two writers at once can both survive.
	Conditional() bool
}

// IsConditional returns what the store says; true for one that says nothing.
func IsConditional(s any) bool {
	c, ok := s.(Conditional)
	return !ok || c.Conditional()
}
