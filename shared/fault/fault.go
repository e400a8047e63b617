// Package fault is the vocabulary of what can go wrong.
//
// A Fault has a code of the wire contract (reference openspecimen-rest.md section 22), a text for the person who
// caused it, and the cause for the engineer. Only the code and the text ever leave the building; an error without a
// fault in its chain is internal, and its text stays inside. Texts avoid the words that clients take for a crash
// (section 23.1 of the reference) and may repeat what the caller sent, so they go to the caller and into reports, never
// into a log: log the code.
package fault

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Kind says who can mend it.
type Kind uint8

// The kinds of a fault.
const (
	// User is what the caller can mend: not valid, not found, duplicate, not allowed. HTTP 400, a failed row.
	User Kind = iota
	// SignIn means nobody is signed in. HTTP 401.
	SignIn
	// Busy may succeed when tried again. HTTP 503; a row or chunk is tried again and never failed for it.
	Busy
	// TooMany means that the caller asks too often. HTTP 429.
	TooMany
)

// Fault is one thing wrong.
type Fault struct {
	Code    string
	Message string
	Kind    Kind
	cause   error
}

// New makes a fault of the caller's. The message is a sentence for a data manager.
func New(code, format string, args ...any) *Fault {
	msg := format
	if len(args) > 0 {
		msg = fmt.Sprintf(format, args...)
	}
	return &Fault{Code: code, Message: msg}
}

// Wrap gives the fault a cause, for errors.Is and for the log; the caller does not see it.
func (f *Fault) Wrap(cause error) *Fault {
	c := *f
	c.cause = cause
	return &c
}

// WithKind returns the fault as another kind.
func (f *Fault) WithKind(k Kind) *Fault {
	c := *f
	c.Kind = k
	return &c
}

// Error is "CODE: message".
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.cause }

// List is several things wrong with one object, told together.
type List []*Fault

// Error joins the texts.
func (l List) Error() string {
	parts := make([]string, len(l))
	for i, f := range l {
		parts[i] = f.Error()
	}
	return strings.Join(parts, "; ")
}

// Add appends a fault.
func (l *List) Add(code, format string, args ...any) { *l = append(*l, New(code, format, args...)) }

// Append adds the faults of err, which must be nil, a *Fault or a List.
func (l *List) Append(err error) {
	*l = append(*l, All(err)...)
}

// Err is nil for an empty list.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// All returns the faults in err's chain; none means that err is nil or internal.
func All(err error) []*Fault {
	if err == nil {
		return nil
	}
	var l List
	if errors.As(err, &l) {
		return l
	}
	var f *Fault
	if errors.As(err, &f) {
		return []*Fault{f}
	}
	return nil
}

// Is tells whether err holds a fault of that code.
func Is(err error, code string) bool {
	for _, f := range All(err) {
		if f.Code == code {
			return true
		}
	}
	return false
}

// Codes lists the codes of err for a log line, or "internal".
func Codes(err error) string {
	all := All(err)
	if len(all) == 0 {
		return "internal"
	}
	codes := make([]string, len(all))
	for i, f := range all {
		codes[i] = f.Code
	}
	return strings.Join(codes, ",")
}

// Row is the text of err for a report line: the sentences, each with its code in brackets.
func Row(err error) string {
	all := All(err)
	if len(all) == 0 {
		return "The row could not be processed because of an internal fault; drop it again. (internal_fault)"
	}
	parts := make([]string, len(all))
	for i, f := range all {
		parts[i] = f.Message + " (" + f.Code + ")"
	}
	return strings.Join(parts, " ")
}

// Panicked turns a panic into an internal fault. Only the runtime's own texts are sure to hold no one's data.
func Panicked(p any) error {
	what := fmt.Sprintf("%T", p)
	if re, ok := p.(runtime.Error); ok {
		what = re.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}
