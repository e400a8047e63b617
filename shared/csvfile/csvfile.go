// Package csvfile reads the CSV files people really send and writes CSV reports.
//
// A file is read in three steps. Detect looks at its first bytes and says how it is encoded and what separates its
// cells. UTF8 turns UTF-16 into UTF-8; everything after it counts bytes of the UTF-8 text. Reader then gives one record
// at a time together with its place in the file, so that a large file can be cut into ranges of whole records which are
// read apart from each other, and give the same records as the file read in one go.
//
// # What is accepted
//
//   - Lines end with LF, CRLF or a lone CR, also mixed. Inside quotes a line break belongs to the cell, byte for byte.
//   - A cell that begins with a quote ends at its closing quote; a doubled quote inside it is a quote. A quote inside a
//     cell that does not begin with one is an ordinary character, as in Excel.
//   - A backslash is an ordinary character. Only where a quote inside a quoted cell could be nothing else (it is neither
//     doubled nor followed by a separator, a line end or the end of the file) a backslash before it makes it a quote of
//     the cell: "5\" pipe" reads 5" pipe. So every file encoding/csv accepts is read the way encoding/csv reads it,
//     and a cell that ends with \" has to double the quote.
//   - Cells are not trimmed.
//
// # What goes wrong, and how far it reaches
//
// A bad row is a *RowError in Record.Err, and reading goes on with the next row. A *FileError ends the file. Neither
// text ever holds a piece of a cell, so both can be logged.
//
// A quote that is never closed would swallow the rest of the file. Therefore, as soon as a quoted cell cannot be closed
// (the file ends, text follows the closing quote, or the cell passes MaxCell), its row is taken to end at the first line
// break after the opening quote, and the lines after it are rows again. That decision depends on nothing that follows the
// swallowed lines, so it is the same in a range that was cut after any of them. What cannot be told apart is a stray
// quote that another stray quote closes properly less than MaxCell later: that is one cell with line breaks in it.
package csvfile

import (
	"bytes"
	"fmt"
)

// The limits of a file. A row that passes one of them fails alone.
const (
	MaxCell    = 1 << 20 // bytes of a cell as written between its quotes
	MaxRecord  = 8 << 20 // bytes of a record as written, line break included
	MaxColumns = 2000    // captions of a header; a row may have more cells than that only if they are blank
)

// HeadSize is how many bytes of a file Detect wants to see.
const HeadSize = 64 << 10

// A RowError says why one row is not valid. The rows around it are fine.
type RowError struct {
	Line   int64  // 1-based line where the row starts
	Byte   int64  // offset in the file of what is wrong, or of the row
	Column int    // 1-based cell, 0 when it is not about one cell
	Reason string // for the user; complete without the other fields but for the line
}

func (e *RowError) Error() string {
	return fmt.Sprintf("line %d, byte %d: %s", e.Line, e.Byte, e.Reason)
}

// A FileError says why a file cannot be read, or not read any further.
type FileError struct {
	Line   int64 // 1-based
	Byte   int64 // offset in the file
	Reason string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("line %d, byte %d: %s", e.Line, e.Byte, e.Reason)
}

// Position is a place in a file, always the start of a record.
type Position struct {
	Offset int64 `json:"offset"` // bytes before it
	Line   int64 `json:"line"`   // 1-based; 0 is taken as 1
}

// blank tells whether a cell holds nothing but white space.
func blank(cell []byte) bool { return len(bytes.TrimSpace(cell)) == 0 }

// countBreaks counts the line breaks in text, CRLF as one.
func countBreaks(text []byte) int64 {
	return int64(bytes.Count(text, []byte{'\n'}) + bytes.Count(text, []byte{'\r'}) - bytes.Count(text, []byte("\r\n")))
}
