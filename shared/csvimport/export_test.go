package csvimport

import (
	"testing"

	"aliquot/shared/biobank"
)

// PoisonSchema adds, until the test ends, a record type like specimen of which the rows with the label READ panic when
// they are read, and those with the label RULE when the registry has them.
func PoisonSchema(t *testing.T) {
	s := specimenSchema()
	s.objectType = "poison"
	bind := s.binder
	s.binder = func(h *header, o Options) func(*input) biobank.Draft {
		draft := bind(h, o)
		return func(in *input) biobank.Draft {
			d := draft(in).(*specimen)
			switch d.Doc.Label {
			case "READ":
				panic("Mira Sand")
			case "RULE":
				d.Merge = func(*biobank.SpecimenDoc) { panic("Mira Sand") }
			}
			return d
		}
	}
	schemas()["poison"] = s
	t.Cleanup(func() { delete(schemas(), "poison") })
}
