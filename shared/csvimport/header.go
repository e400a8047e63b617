package csvimport

import (
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// header is the captions of a file and what has been found among them.
type header struct {
	captions []string
	cells    map[string]int // by folded caption
	used     []bool
	dropped  []bool
	twice    error // two columns that mean the same
}

func newHeader(captions []string) *header {
	h := &header{
		captions: make([]string, len(captions)),
		cells:    make(map[string]int, len(captions)),
		used:     make([]bool, len(captions)),
		dropped:  make([]bool, len(captions)),
	}
	for i, c := range captions {
		h.captions[i] = strings.TrimSpace(c)
		if _, ok := h.cells[foldCaption(c)]; !ok {
			h.cells[foldCaption(c)] = i
		}
	}
	return h
}

// foldCaption is the form in which captions are compared: without case and without spaces around their parts.
func foldCaption(s string) string {
	parts := strings.Split(s, "#")
	for i := range parts {
		parts[i] = biobank.Fold(parts[i])
	}
	return strings.Join(parts, "#")
}

// find is the cell of a caption, -1 when there is no such column.
func (h *header) find(caption string) int {
	if i, ok := h.cells[foldCaption(caption)]; ok && !h.dropped[i] {
		return i
	}
	return -1
}

// drop makes a column as good as absent, without calling it unknown.
func (h *header) drop(caption string) {
	if i := h.find(caption); i >= 0 {
		h.dropped[i] = true
	}
}

func (h *header) holdsAny(captions []string) bool {
	for _, c := range captions {
		if h.find(c) >= 0 {
			return true
		}
	}
	return false
}

// take finds the cells of a column: one, or as many as there are numbers, each with the cells of its members (-1: no
// such column). It returns nil when the file does not have the column.
func (h *header) take(c column) []int {
	var cells []int
	if !c.many {
		if i := h.find(c.caption); i >= 0 {
			cells = []int{i}
		}
	} else {
		cells = h.takeNumbered(c)
	}
	for _, alias := range c.aliases {
		i := h.find(alias)
		switch {
		case i < 0:
		case cells == nil:
			cells = []int{i}
		case h.twice == nil:
			h.twice = fault.New(codeParse, "The columns %q and %q mean the same. Keep one of them.",
				h.captions[cells[0]], h.captions[i])
		}
	}
	for _, i := range cells {
		if i >= 0 {
			h.used[i] = true
		}
	}
	return cells
}

func (h *header) takeNumbered(c column) []int {
	var cells []int
	for n := 1; ; n++ {
		numbered := c.caption + "#" + strconv.Itoa(n)
		if len(c.members) == 0 {
			i := h.find(numbered)
			if i < 0 {
				return cells
			}
			cells = append(cells, i)
			continue
		}
		found := false
		for _, m := range c.members {
			i := h.find(numbered + "#" + m)
			found = found || i >= 0
			cells = append(cells, i)
		}
		if !found {
			cells = cells[:len(cells)-len(c.members)]
			if len(cells) == 0 {
				return nil
			}
			return cells
		}
	}
}

func (h *header) bound() []int {
	var cells []int
	for i, used := range h.used {
		if used {
			cells = append(cells, i)
		}
	}
	return cells
}

func (h *header) unknown() []string {
	var captions []string
	for i, used := range h.used {
		if !used && !h.dropped[i] {
			captions = append(captions, h.captions[i])
		}
	}
	return captions
}

// findAlias is the cell of an older caption for a column.
func (h *header) findAlias(columns []column, caption string) int {
	for _, c := range columns {
		if c.caption == caption {
			for _, alias := range c.aliases {
				if i := h.find(alias); i >= 0 {
					return i
				}
			}
		}
	}
	return -1
}
