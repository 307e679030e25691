package policy

// StoreOptions returns the keys of each scheme's options.
func StoreOptions() map[string][]string {
	options := make(map[string][]string)
	for _, s := range schemes() {
		options[s.name] = nil
		for _, o := range s.options {
			options[s.name] = append(options[s.name], o.key)
		}
	}
	return options
}
