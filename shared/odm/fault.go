package odm

import "fmt"

// The limits of a document (design.md section 8). What passes one is a *Fault of kind TooLarge.
const (
	MaxDepth      = 32       // elements inside one another
	MaxToken      = 1 << 20  // bytes of a tag with all its attributes, of a text, or of a comment, as written
	MaxAttributes = 128      // of one element
	MaxNamespaces = 64       // declarations in scope at one place
	MaxGroup      = 8 << 20  // bytes of memory of an ItemGroupData or of any other part of clinical data
	MaxStudy      = 16 << 20 // bytes of memory of a Study or an AdminData: 10,000 items and more
)

// Kind says what is wrong with a document.
type Kind uint8

// The kinds of a Fault.
const (
	Malformed Kind = iota // it is not well-formed, or ends too early
	Unsafe                // it holds a DOCTYPE, an entity of its own, or an inclusion of something else
	TooLarge              // it passes a limit
	Encoding              // its text is not in the encoding that it should be in, or in one that is not read
	NotODM                // its root element is not ODM, or a prefix has no namespace
)

// A Fault says why a document cannot be read, or not read any further. The reason is a sentence for the sender which
// never repeats what the document holds, so it can be logged.
type Fault struct {
	Kind   Kind
	Line   int64 // 1-based
	Byte   int64 // offset
	Reason string
}

// Error is "line 3, byte 120: reason".
func (f *Fault) Error() string {
	return fmt.Sprintf("line %d, byte %d: %s", f.Line, f.Byte, f.Reason)
}
