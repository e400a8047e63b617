package api

// Patterns lists the routes, for the test that walks all of them.
func Patterns() []string {
	var all []string
	for _, r := range routes() {
		all = append(all, r.pattern)
	}
	return all
}
