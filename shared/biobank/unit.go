package biobank

import (
	"cmp"

	"aliquot/shared/fault"
)

// Unit is what the quantities and concentrations of a class of specimens, or of one of its types, are measured in: one of
// the permissible values SpecimenUnits, or blank. Numbers are kept as they are sent; a unit says how to read them.
//
// The permissible values say what is usual (pv.json): of a class, and of types that differ from it. The reference tells
// that such units exist (openspecimen-rest.md sections 11, 15 and 19) and not which: those are this product's choice. A
// protocol has units of its own as part of its definition (section 9, units).
type Unit struct {
	Class         string `json:"specimenClass"`
	Type          string `json:"type,omitempty"` // blank for all types of the class
	Quantity      string `json:"quantityUnit,omitempty"`
	Concentration string `json:"concentrationUnit,omitempty"`
}

// UnitsOf are the units that are usual for a class (its own name as the type) or for one of its types, each blank where
// there is none. Class and type are in their stored forms.
func UnitsOf(class, specimenType string) Unit {
	v := loadVocabulary()
	own, all := v.units[specimenType], v.units[class]
	return Unit{
		Class: class, Type: specimenType,
		Quantity: cmp.Or(own.Quantity, all.Quantity), Concentration: cmp.Or(own.Concentration, all.Concentration),
	}
}

// UnitsOf are the units of a type in the protocol: those that the protocol has for the type, else for the class, else the
// usual ones. Each of the two is looked for by itself.
func (d *ProtocolDoc) UnitsOf(class, specimenType string) Unit {
	is := UnitsOf(class, specimenType)
	var own, all Unit
	for _, u := range d.Units {
		switch {
		case u.Class != class:
		case u.Type == specimenType:
			own = u
		case u.Type == "":
			all = u
		}
	}
	is.Quantity = cmp.Or(own.Quantity, all.Quantity, is.Quantity)
	is.Concentration = cmp.Or(own.Concentration, all.Concentration, is.Concentration)
	return is
}

// among refuses units that are sent of a single object and are not those of its type: they are kept with the type, and a
// number in another unit would be misread from then on.
func (u Unit) among(l *fault.List, of Unit) {
	for _, one := range []struct{ noun, sent, is string }{
		{"Quantity Unit", u.Quantity, of.Quantity}, {"Concentration Unit", u.Concentration, of.Concentration},
	} {
		switch {
		case one.sent == "" || Fold(one.sent) == Fold(one.is):
		case one.is == "":
			l.Add("SPECIMEN_INVALID_UNIT", "%s is %q, but %s has none.", one.noun, one.sent, cmp.Or(of.Type, "what is not known"))
		default:
			l.Add("SPECIMEN_INVALID_UNIT", "%s is %q, but that of %s is %q here.", one.noun, one.sent, of.Type, one.is)
		}
	}
}

// checkUnits brings the units of a protocol into their stored form. The codes are those of the permissible values; the
// reference names none for units, and clients know SPECIMEN_INVALID_UNIT and SPECIMEN_TYPE_UNIT_ from its newer servers.
func checkUnits(l *fault.List, units []Unit) {
	type place struct{ class, specimenType string }
	seen := map[place]bool{}
	for i := range units {
		u := &units[i]
		class, ok := Canonical(SpecimenClasses, u.Class)
		if !ok {
			l.Add("SPECIMEN_INVALID_SPECIMEN_CLASS", "Specimen class %q of a unit is not valid.", u.Class)
			continue
		}
		u.Class = class
		if u.Type != "" {
			if _, u.Type, ok = TypeIn(class, u.Type); !ok {
				l.Add("SPECIMEN_INVALID_SPECIMEN_TYPE", "A unit is given for a type that specimen class %q does not have.", class)
				continue
			}
		}
		value(l, SpecimenUnits, "SPECIMEN_INVALID_UNIT", "Quantity unit", &u.Quantity)
		value(l, SpecimenUnits, "SPECIMEN_INVALID_UNIT", "Concentration unit", &u.Concentration)
		at := place{u.Class, u.Type}
		switch {
		case u.Quantity == "" && u.Concentration == "":
			l.Add("SPECIMEN_TYPE_UNIT_QTY_OR_CONC_UNIT_REQ", "Give a unit of quantities or of concentrations for %s.", cmp.Or(u.Type, u.Class))
		case seen[at]:
			l.Add("SPECIMEN_TYPE_UNIT_DUP", "The units of %s are given twice.", cmp.Or(u.Type, u.Class))
		}
		seen[at] = true
	}
}
