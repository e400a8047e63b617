package csvfile

import (
	"encoding/binary"
	"unicode/utf16"
)

// formula is the rule of a spreadsheet, told apart from needsGuard.
func formula(cell []byte) bool {
	text := []rune(string(cell))
	if len(text) == 0 {
		return false
	}
	switch text[0] {
	case '=', '@', ';', '\t', '\r', '＝', '＋', '－', '＠':
		return true
	case '+', '-':
		for _, c := range text[1:] {
			if (c < '0' || c > '9') && c != '.' && c != ',' && c != 'e' && c != 'E' && c != '+' && c != '-' {
				return true
			}
		}
		return len(text) == 1
	}
	return false
}

func encodeUTF16(text string, encoding Encoding) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if encoding == EncodingUTF16LE {
			out = binary.LittleEndian.AppendUint16(out, unit)
		} else {
			out = binary.BigEndian.AppendUint16(out, unit)
		}
	}
	return out
}
