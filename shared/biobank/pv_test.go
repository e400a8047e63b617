package biobank

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var attributes = []string{
	Genders, Races, Ethnicities, VitalStatuses, ClinicalDiagnoses, ClinicalStatuses, VisitStatuses, MissedVisitReasons,
	Cohorts, SpecimenClasses, SpecimenTypes, AnatomicSites, Lateralities, PathologyStatuses, SpecimenBiohazards,
	SpecimenUnits, CollectionProcedures, CollectionContainers, ReceiveQualities, SiteTypes, ConsentResponses, SexGenotypes,
}

func TestEveryAttributeCanBeNotSpecified(t *testing.T) {
	for _, a := range attributes {
		if got, ok := Canonical(a, " not SPECIFIED "); !ok || got != NotSpecified {
			t.Errorf("%s: got %q, %v", a, got, ok)
		}
	}
}

func TestValuesDifferByMoreThanCase(t *testing.T) {
	for _, a := range attributes {
		seen := map[string]bool{}
		for _, v := range Values(a) {
			if seen[Fold(v)] {
				t.Errorf("%s has %q twice", a, v)
			}
			seen[Fold(v)] = true
			if v != strings.TrimSpace(v) {
				t.Errorf("%s has %q with outer spaces", a, v)
			}
		}
	}
}

func TestValuesHaveIDsOfTheirOwn(t *testing.T) {
	whose := map[int64]string{}
	for _, a := range attributes {
		for _, v := range Values(a) {
			id := ValueID(a, v)
			if id <= 0 || whose[id] != "" {
				t.Errorf("%s %q has the id %d, that of %q", a, v, id, whose[id])
			}
			whose[id] = a + " " + v
		}
	}
	if len(loadVocabulary().values) != len(attributes) {
		t.Errorf("pv.json has %d attributes, %d are tested", len(loadVocabulary().values), len(attributes))
	}
	if ValueID(Genders, "no such value") != 0 || ValueID("no_such_attribute", NotSpecified) != 0 {
		t.Error("a value that does not exist has an id")
	}
}

// Clients keep ids. Those that the first version gave are <millions of the attribute> + 1 to the number of values that it had
// then; they stay with their values whatever is added.
func TestIDsThatWereGivenStay(t *testing.T) {
	first := []struct {
		attribute string
		values    int
	}{
		{Genders, 6},
		{Races, 10},
		{Ethnicities, 5},
		{VitalStatuses, 5},
		{ClinicalDiagnoses, 198},
		{ClinicalStatuses, 15},
		{VisitStatuses, 5},
		{MissedVisitReasons, 11},
		{Cohorts, 9},
		{SpecimenClasses, 5},
		{SpecimenTypes, 102},
		{AnatomicSites, 177},
		{Lateralities, 7},
		{PathologyStatuses, 15},
		{SpecimenBiohazards, 14},
		{SpecimenUnits, 23},
		{CollectionProcedures, 40},
		{CollectionContainers, 26},
		{ReceiveQualities, 14},
		{SiteTypes, 10},
		{ConsentResponses, 8},
		{SexGenotypes, 7},
	}
	digest := sha256.New()
	for i, of := range first {
		named := map[int64]string{}
		for _, v := range Values(of.attribute) {
			named[ValueID(of.attribute, v)] = v
		}
		for n := range of.values {
			id := int64(i+1)*1_000_000 + int64(n+1)
			fmt.Fprintln(digest, id, named[id])
		}
	}
	const want = "16abd314e9da511b205d7fed9b73cafe4b3fb320f0102c8078eb6559774d6af3"
	if got := fmt.Sprintf("%x", digest.Sum(nil)); got != want {
		t.Errorf("the ids of the first values come to %s, not to %s: an id was given to another value, or a value was renamed", got, want)
	}
}

// The values that the reference's acceptance clients send (openspecimen-rest.md 4.4, 19).
func TestValuesThatClientsSend(t *testing.T) {
	tests := []struct{ attribute, text, want string }{
		{AnatomicSites, "Anal Canal", "Anal canal"},
		{PathologyStatuses, "malignant", "Malignant"},
		{Lateralities, "Left", "Left"},
		{ReceiveQualities, "Acceptable", "Acceptable"},
		{VitalStatuses, "DEAD", "Dead"},
		{SiteTypes, "Collection Site", "Collection Site"},
		{SiteTypes, "repository", "Repository"},
		{SiteTypes, "Laboratory", "Laboratory"},
		{VisitStatuses, "Missed collection", VisitMissed},
		{SpecimenClasses, "fluid", "Fluid"},
		{SpecimenTypes, "bile", "Bile"},
		{CollectionProcedures, "Venipuncture", "Venipuncture"},
	}
	for _, test := range tests {
		if got, ok := Canonical(test.attribute, test.text); !ok || got != test.want {
			t.Errorf("%s %q: got %q, %v; want %q", test.attribute, test.text, got, ok, test.want)
		}
	}
	for _, test := range tests {
		if got, ok := Canonical(test.attribute, "no such value"); ok {
			t.Errorf("%s has %q", test.attribute, got)
		}
	}
	if _, ok := Canonical("no_such_attribute", "Left"); ok || Values("no_such_attribute") != nil {
		t.Error("an unknown attribute has values")
	}
}

func TestClassOf(t *testing.T) {
	tests := []struct {
		text, class, canonical string
		ok                     bool
	}{
		{"whole blood", "Fluid", "Whole Blood", true},
		{"Fixed Tissue", "Tissue", "Fixed Tissue", true},
		{"DNA", "Molecular", "DNA", true},
		{"slide", "Cell", "Slide", true},
		{NotSpecified, NotSpecified, NotSpecified, true},
		{"Fluid", "", "", false}, // a class is no type
		{"", "", "", false},
		{"Plasma!", "", "", false},
	}
	for _, test := range tests {
		class, canonical, ok := ClassOf(test.text)
		if class != test.class || canonical != test.canonical || ok != test.ok {
			t.Errorf("ClassOf(%q) = %q, %q, %v; want %q, %q, %v", test.text, class, canonical, ok, test.class,
				test.canonical, test.ok)
		}
	}
	for _, class := range Values(SpecimenClasses) {
		if class != NotSpecified && !slices.Contains(Values(SpecimenTypes), class) {
			t.Errorf("class %s is no root of specimen_type", class)
		}
	}
}

func TestTypeIn(t *testing.T) {
	for _, test := range []struct {
		class, text string
		ok          bool
	}{
		{"fluid", "bile", true},
		{"Tissue", "Not specified", true},
		{NotSpecified, NotSpecified, true},
		{"Tissue", "Bile", false},
		{"Bile", "Bile", false},
		{"Fluid", "Fluid", false},
		{"", "Bile", false},
		{NotSpecified, "Bile", false},
	} {
		if _, _, ok := TypeIn(test.class, test.text); ok != test.ok {
			t.Errorf("TypeIn(%q, %q) = %v", test.class, test.text, ok)
		}
	}
}

func TestOnlyTheDeadAreDead(t *testing.T) {
	for status, want := range map[string]bool{"Dead": true, " dead": true, "Alive": false, "Unknown": false, "": false, "x": false} {
		if got := Dead(status); got != want {
			t.Errorf("Dead(%q) = %v", status, got)
		}
	}
}

func TestCanonicalTextCostsNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Canonical(AnatomicSites, "Anal canal") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUsualUnitsArePermissible(t *testing.T) {
	for of, u := range loadVocabulary().units {
		for _, unit := range []string{u.Quantity, u.Concentration} {
			if _, ok := loadVocabulary().exact[SpecimenUnits][unit]; unit != "" && !ok {
				t.Errorf("%s is measured in %q, which is not in the list", of, unit)
			}
		}
	}
}
