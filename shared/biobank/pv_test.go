package biobank

import (
	"slices"
	"strings"
	"testing"
)

var attributes = []string{
	Genders, Races, Ethnicities, VitalStatuses, ClinicalDiagnoses, ClinicalStatuses, VisitStatuses, MissedVisitReasons,
	Cohorts, SpecimenClasses, SpecimenTypes, AnatomicSites, Lateralities, PathologyStatuses, SpecimenBiohazards,
	SpecimenUnits, CollectionProcedures, CollectionContainers, ReceiveQualities, SiteTypes, ConsentResponses,
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
