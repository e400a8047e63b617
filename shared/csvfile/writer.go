package csvfile

import "bytes"

// AppendCell appends a cell to a CSV file being written: without outer white space, in quotes, a quote in it doubled. A
// cell that a spreadsheet would take for a formula gets a ' before it. Unguard takes it off again: whatever the cell,
// AppendCell, Read and Unguard give back bytes.TrimSpace of it.
func AppendCell(dst, cell []byte) []byte {
	cell = bytes.TrimSpace(cell)
	dst = append(dst, '"')
	if needsGuard(cell) {
		dst = append(dst, '\'')
	}
	for {
		q := bytes.IndexByte(cell, '"')
		if q < 0 {
			break
		}
		dst = append(dst, cell[:q+1]...)
		dst = append(dst, '"')
		cell = cell[q+1:]
	}
	dst = append(dst, cell...)
	return append(dst, '"')
}

// AppendRecord appends a line of cells as AppendCell writes them.
func AppendRecord(dst []byte, comma byte, cells ...[]byte) []byte {
	for i, cell := range cells {
		if i > 0 {
			dst = append(dst, comma)
		}
		dst = AppendCell(dst, cell)
	}
	return append(dst, '\n')
}

// AppendStrings is AppendRecord for strings.
func AppendStrings(dst []byte, comma byte, cells ...string) []byte {
	for i, cell := range cells {
		if i > 0 {
			dst = append(dst, comma)
		}
		dst = AppendCell(dst, []byte(cell))
	}
	return append(dst, '\n')
}

// Unguard returns a trimmed cell without the ' that AppendCell put before it, and any other cell as it is.
func Unguard(cell []byte) []byte {
	if len(cell) > 1 && cell[0] == '\'' && needsGuard(cell[1:]) {
		return cell[1:]
	}
	return cell
}

// needsGuard tells whether a spreadsheet would take the cell for a formula, or whether it is such a cell behind one or
// more ' of its own: that it is guarded as well is what lets Unguard tell the two apart.
func needsGuard(cell []byte) bool {
	cell = bytes.TrimLeft(cell, "'")
	if len(cell) == 0 {
		return false
	}
	switch cell[0] {
	case ';', '=', '@', '\t', '\r':
		return true
	case '+', '-':
		return !isNumber(cell[1:])
	case 0xEF: // the first byte of the fullwidth forms
		for _, sign := range [...]string{"＝", "＋", "－", "＠"} {
			if bytes.HasPrefix(cell, []byte(sign)) {
				return true
			}
		}
	}
	return false
}

// isNumber tells whether text is an unsigned decimal number: digits, at most one point or comma, perhaps an exponent.
func isNumber(text []byte) bool {
	digits := func() (n int) {
		for len(text) > 0 && '0' <= text[0] && text[0] <= '9' {
			text, n = text[1:], n+1
		}
		return n
	}
	n := digits()
	if len(text) > 0 && (text[0] == '.' || text[0] == ',') {
		text = text[1:]
		n += digits()
	}
	if n > 0 && len(text) > 0 && (text[0] == 'e' || text[0] == 'E') {
		text = text[1:]
		if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		n = digits()
	}
	return n > 0 && len(text) == 0
}
