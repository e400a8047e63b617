package biobank

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// Cells of containers. A cell is a mark in the set of its container, so that two writers can never take one cell and one
// query lists who holds the cells of a container. The mark names the occupant; it counts only while the occupant's record
// says that it lies there (infra/decisions/cells.md).

// Location is where a specimen or a container lies: in a container, at a row and a column from 1 up; both are 0 in a
// container without dimensions.
type Location struct {
	ContainerID int64 `json:"container"`
	Row         int64 `json:"row,omitempty"`
	Column      int64 `json:"col,omitempty"`
}

// maxSide is the most rows or columns of a container.
const maxSide = 9_999

// maxCells is the most cells of a container: its map, and a block of all that is free, are held in memory.
const maxCells = 1_000_000

// large tells whether a container has more rows, columns or cells than it may have.
func (g *Grid) large() bool {
	return g.Rows > maxSide || g.Columns > maxSide || g.Rows*g.Columns > maxCells
}

// cellSet is the set of the marks of a container's cells.
func cellSet(container int64) string { return "cell#" + strconv.FormatInt(container, 10) }

// cellPlace is the place of a cell among those of its container.
func cellPlace(row, column int64) string { return fmt.Sprintf("%05d/%05d", row, column) }

// mark is the name of the mark of whom of type t with that id, at the location.
func (l Location) mark(t Type, id int64) string {
	if l.Row == 0 {
		return SetMark(cellSet(l.ContainerID), "-/"+string(t)+"/"+PadID(id))
	}
	return SetMark(cellSet(l.ContainerID), cellPlace(l.Row, l.Column))
}

// markedCell is the location of a mark that lies in the set of a container, zero for any other.
func markedCell(name string) Location {
	set, place, ok := SplitMark(name)
	id, isCell := strings.CutPrefix(set, "cell#")
	if !ok || !isCell {
		return Location{}
	}
	var l Location
	l.ContainerID, _ = strconv.ParseInt(id, 10, 64)
	row, column, _ := strings.Cut(place, "/")
	l.Row, _ = strconv.ParseInt(row, 10, 64) // "-" has none
	if l.Row != 0 {
		l.Column, _ = strconv.ParseInt(column, 10, 64)
	}
	return l
}

// Span is neighbouring cells of a row.
type Span struct {
	Row  int64 `json:"row"`
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// spansOf joins cells into spans, in the order of rows and columns.
func spansOf(cells map[Location]bool) []Span {
	list := make([]Location, 0, len(cells))
	for c := range cells {
		list = append(list, c)
	}
	slices.SortFunc(list, byPlace)
	var out []Span
	for _, c := range list {
		if n := len(out); n > 0 && out[n-1].Row == c.Row && out[n-1].To == c.Column-1 {
			out[n-1].To = c.Column
			continue
		}
		out = append(out, Span{c.Row, c.Column, c.Column})
	}
	return out
}

// cellsOf takes spans of a container apart.
func cellsOf(container int64, spans []Span) map[Location]bool {
	out := map[Location]bool{}
	for _, s := range spans {
		for col := s.From; col <= s.To; col++ {
			out[Location{container, s.Row, col}] = true
		}
	}
	return out
}

func byPlace(a, b Location) int {
	if a.Row != b.Row {
		return int(a.Row - b.Row)
	}
	return int(a.Column - b.Column)
}

// The ways to show a position, and to number the cells (reference openspecimen-rest.md 16.2).
const (
	ModeTwoD   = "TWO_D"
	ModeLinear = "LINEAR"
	ModeNone   = "NONE"

	assignHorizontal = "HZ_TOP_DOWN_LEFT_RIGHT"
)

var assignments = []string{
	assignHorizontal, "HZ_TOP_DOWN_RIGHT_LEFT", "HZ_BOTTOM_UP_LEFT_RIGHT", "HZ_BOTTOM_UP_RIGHT_LEFT",
	"VT_TOP_DOWN_LEFT_RIGHT", "VT_TOP_DOWN_RIGHT_LEFT", "VT_BOTTOM_UP_LEFT_RIGHT", "VT_BOTTOM_UP_RIGHT_LEFT",
}

// Grid is the layout of a container or of a container type: its size, how its cells are numbered and labelled.
type Grid struct {
	Rows         int64  `json:"rows,omitempty"`
	Columns      int64  `json:"cols,omitempty"`
	Mode         string `json:"mode"`
	Assignment   string `json:"assignment"`
	ColumnScheme string `json:"columnScheme"`
	RowScheme    string `json:"rowScheme"`
}

// Dimensionless tells whether the container has no cells.
func (g *Grid) Dimensionless() bool { return g.Rows == 0 }

// Cells is how many there are.
func (g *Grid) Cells() int64 { return g.Rows * g.Columns }

// Has tells whether the container has the cell.
func (g *Grid) Has(row, column int64) bool {
	return row >= 1 && row <= g.Rows && column >= 1 && column <= g.Columns
}

// Ordinal numbers a cell from 1 up, in the order in which cells are assigned.
func (g *Grid) Ordinal(row, column int64) int64 {
	row, column = g.turned(row, column)
	if strings.HasPrefix(g.Assignment, "VT_") {
		return (column-1)*g.Rows + row
	}
	return (row-1)*g.Columns + column
}

// Cell is the row and column of the cell with an ordinal.
func (g *Grid) Cell(ordinal int64) (row, column int64) {
	n := ordinal - 1
	if strings.HasPrefix(g.Assignment, "VT_") {
		return g.turned(n%g.Rows+1, n/g.Rows+1)
	}
	return g.turned(n/g.Columns+1, n%g.Columns+1)
}

// turned is the cell counted from the corner where the assignment begins; turned again it is what it was.
func (g *Grid) turned(row, column int64) (int64, int64) {
	if strings.Contains(g.Assignment, "BOTTOM_UP") {
		row = g.Rows + 1 - row
	}
	if strings.HasSuffix(g.Assignment, "RIGHT_LEFT") {
		column = g.Columns + 1 - column
	}
	return row, column
}

// Labels are a cell's column and row as people read them; empty in a container without cells.
func (g *Grid) Labels(row, column int64) (x, y string) {
	if row == 0 {
		return "", ""
	}
	return schemeNamed(g.ColumnScheme).label(column), schemeNamed(g.RowScheme).label(row)
}

// cell finds the cell that labels, or a number, name. None of them gives a zero location: the next free cell is asked for.
// Where both are sent, and name different cells, the reference (openspecimen-rest.md 15.6) names no winner: here the labels
// decide, but in a LINEAR container the number does. Its cells are known by their numbers, and who sends a changed one back
// sends the labels as they were read.
func (g *Grid) cell(container int64, x, y string, position int64) (Location, error) {
	invPos := func(text string, args ...any) error { return fault.New("STORAGE_CONTAINER_INV_POS", text, args...) }
	if g.Mode == ModeLinear && position != 0 {
		x, y = "", ""
	}
	switch {
	case x == "" && y == "" && position == 0:
		return Location{}, nil
	case g.Dimensionless():
		return Location{}, invPos("The container has no positions; leave row, column and position blank.")
	case x == "" && y == "":
		if position < 1 || position > g.Cells() {
			return Location{}, invPos("Position %d is not one of the container's; they go from 1 to %d.", position, g.Cells())
		}
		row, column := g.Cell(position)
		return Location{container, row, column}, nil
	case x == "" || y == "":
		return Location{}, invPos("Give both the row and the column of the position.")
	}
	column, err := schemeNamed(g.ColumnScheme).ordinal(x)
	if err != nil {
		return Location{}, err
	}
	row, err := schemeNamed(g.RowScheme).ordinal(y)
	if err != nil {
		return Location{}, err
	}
	if !g.Has(row, column) {
		return Location{}, invPos("The container has %d rows and %d columns; there is no position at row %q, column %q.", g.Rows, g.Columns, y, x)
	}
	return Location{container, row, column}, nil
}

// check brings the layout into its canonical form, with the usual values for what is blank. Prefix is that of the codes.
func (g *Grid) check(l *fault.List, prefix, schemeCode string) {
	switch {
	case (g.Rows == 0) != (g.Columns == 0), g.Rows < 0, g.Columns < 0, g.large():
		l.Add(prefix+"INVALID_DIMENSION_CAPACITY", "Give both the number of rows and of columns, from 1 to %d and at most %d positions, or neither.", maxSide, maxCells)
	}
	pick := func(v *string, code, noun, otherwise string, allowed []string) {
		if *v == "" {
			*v = otherwise
		}
		for _, a := range allowed {
			if Fold(*v) == Fold(a) {
				*v = a
				return
			}
		}
		l.Add(code, "%s %q is not valid.", noun, *v)
	}
	mode := ModeTwoD
	if g.Dimensionless() {
		mode = ModeNone
	}
	pick(&g.Mode, prefix+"INVALID_POSITION_LABELING_MODE", "Position labeling mode", mode, []string{ModeTwoD, ModeLinear, ModeNone})
	if g.Dimensionless() {
		g.Mode = ModeNone
	} else if g.Mode == ModeNone {
		l.Add(prefix+"INVALID_POSITION_LABELING_MODE", "Only a container without rows and columns has the position labeling mode NONE.")
	}
	pick(&g.Assignment, prefix+"INVALID_POSITION_ASSIGNMENT", "Position assignment", assignHorizontal, assignments)
	pick(&g.ColumnScheme, schemeCode, "Column labeling scheme", schemes[0].name, schemeNames())
	pick(&g.RowScheme, schemeCode, "Row labeling scheme", g.ColumnScheme, schemeNames())
}
