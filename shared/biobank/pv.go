package biobank

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
)

// The permissible values are part of the product: pv.json, one list per attribute (reference openspecimen-rest.md
// section 19). They are read when the first one is asked for, so that a function that needs none starts without them.

//go:embed pv.json
var pvJSON []byte

// The attributes with permissible values. SpecimenClasses lists the roots of specimen_type, SpecimenTypes all its values.
const (
	Genders              = "gender"
	Races                = "race"
	Ethnicities          = "ethnicity"
	VitalStatuses        = "vital_status"
	SexGenotypes         = "2003990" // its number among the common data elements
	ClinicalDiagnoses    = "clinical_diagnosis"
	ClinicalStatuses     = "clinical_status"
	VisitStatuses        = "visit_status"
	MissedVisitReasons   = "missed_visit_reason"
	Cohorts              = "cohort"
	SpecimenClasses      = "specimen_class"
	SpecimenTypes        = "specimen_type"
	AnatomicSites        = "anatomic_site"
	Lateralities         = "laterality"
	PathologyStatuses    = "pathology_status"
	SpecimenBiohazards   = "specimen_biohazard"
	SpecimenUnits        = "specimen_unit"
	CollectionProcedures = "collection_procedure"
	CollectionContainers = "collection_container"
	ReceiveQualities     = "receive_quality"
	SiteTypes            = "site_type"
	ConsentResponses     = "consent_response"
)

// vocabulary is the permissible values, indexed.
type vocabulary struct {
	values map[string][]string
	ids    map[string]map[string]int64 // by attribute and stored form
	// exact and folded lead from attribute and text to the stored form. Exact spares the usual value its folding.
	exact, folded map[string]map[string]string
	class         map[string]string // of a canonical type
	dead          map[string]bool   // canonical vital statuses
	units         map[string]Unit   // of canonical classes and types
}

// The file gives each value its id, once and for all: a new one takes an id that no value of any attribute has, wherever it
// is put among the others, and one that is taken out leaves its own unused. Of specimen types it tells the class; a
// specimen of which nothing is known has a type, too, and a class to match.
var loadVocabulary = sync.OnceValue(func() *vocabulary {
	var file struct {
		Dead   []string
		Values map[string][]struct {
			ID                              int64
			Value, Class                    string
			QuantityUnit, ConcentrationUnit string
		}
	}
	if err := json.Unmarshal(pvJSON, &file); err != nil {
		panic(fmt.Sprintf("pv.json in this binary: %v", err))
	}
	v := &vocabulary{
		values: make(map[string][]string, len(file.Values)),
		ids:    make(map[string]map[string]int64, len(file.Values)),
		exact:  make(map[string]map[string]string, len(file.Values)),
		folded: make(map[string]map[string]string, len(file.Values)),
		class:  make(map[string]string),
		dead:   make(map[string]bool, len(file.Dead)),
		units:  make(map[string]Unit),
	}
	for attribute, values := range file.Values {
		n := len(values)
		list, ids := make([]string, n), make(map[string]int64, n)
		exact, folded := make(map[string]string, n), make(map[string]string, n)
		for i, one := range values {
			list[i], ids[one.Value] = one.Value, one.ID
			exact[one.Value], folded[Fold(one.Value)] = one.Value, one.Value
			if one.Class != "" {
				v.class[one.Value] = one.Class
			}
			if one.QuantityUnit != "" || one.ConcentrationUnit != "" {
				v.units[one.Value] = Unit{Quantity: one.QuantityUnit, Concentration: one.ConcentrationUnit}
			}
		}
		v.values[attribute], v.ids[attribute] = list, ids
		v.exact[attribute], v.folded[attribute] = exact, folded
	}
	for _, status := range file.Dead {
		v.dead[status] = true
	}
	return v
})

// Canonical is the stored form of a permissible value, found without regard to case and outer spaces; false means that
// the attribute does not have the value (or does not exist). Text in its stored form costs no allocation.
func Canonical(attribute, text string) (string, bool) {
	v := loadVocabulary()
	if c, ok := v.exact[attribute][text]; ok {
		return c, true
	}
	c, ok := v.folded[attribute][Fold(text)]
	return c, ok
}

// ClassOf is the class of a specimen type and the type's stored form; false means that there is no such type. The names
// of classes are no types. "Not Specified" is its own class here, although every class admits it: see TypeIn.
func ClassOf(specimenType string) (class, canonicalType string, ok bool) {
	v := loadVocabulary()
	t, ok := Canonical(SpecimenTypes, specimenType)
	if !ok {
		return "", "", false
	}
	class, ok = v.class[t]
	if !ok {
		return "", "", false
	}
	return class, t, true
}

// TypeIn checks a class and a type against each other and returns their stored forms; false means that one is unknown or
// that they do not belong together. Every class admits the type "Not Specified".
func TypeIn(class, specimenType string) (canonicalClass, canonicalType string, ok bool) {
	c, ok := Canonical(SpecimenClasses, class)
	if !ok {
		return "", "", false
	}
	of, t, ok := ClassOf(specimenType)
	if !ok || of != c && t != NotSpecified {
		return "", "", false
	}
	return c, t, true
}

// Values lists the values of an attribute in the order in which they are offered; nil for an unknown attribute. Of
// specimen_type it lists each class before its types. The caller must not change the list.
func Values(attribute string) []string { return loadVocabulary().values[attribute] }

// ValueID is the id of a value of an attribute in its stored form, 0 where there is none.
func ValueID(attribute, value string) int64 { return loadVocabulary().ids[attribute][value] }

// Dead tells whether a vital status, in any case, means that the person has died; only then a death date is kept.
func Dead(vitalStatus string) bool {
	c, ok := Canonical(VitalStatuses, vitalStatus)
	return ok && loadVocabulary().dead[c]
}
