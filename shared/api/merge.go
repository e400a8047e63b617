package api

// merge collects what a patch changes: what was sent. A member set to null or blank is cleared.
type merge[T any] []func(*T)

// set adds a change for a member that was sent.
func (m *merge[T]) set(in *input, name string, change func(*T)) {
	if in.sent(name) {
		*m = append(*m, change)
	}
}

// onto applies the changes.
func (m merge[T]) onto(doc *T) {
	for _, change := range m {
		change(doc)
	}
}

// over is an object, nil for none, with the changes: a new one, where anything of it was sent.
func (m merge[T]) over(was *T) *T {
	if m == nil {
		return was
	}
	var is T
	if was != nil {
		is = *was
	}
	m.onto(&is)
	return &is
}
