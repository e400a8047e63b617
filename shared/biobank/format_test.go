package biobank

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormatRefusals(t *testing.T) {
	tests := []struct {
		kind FormatKind
		text string
		want string // part of the text
	}{
		{PPIDFormat, "", "is blank"},
		{PPIDFormat, "  ", "is blank"},
		{PPIDFormat, strings.Repeat("x", 256), "longer than 255"},
		{PPIDFormat, "A\t%CP_UID%", "cannot be printed"},
		{PPIDFormat, "\xe1%d", "cannot be printed"},
		{PPIDFormat, "STUDY", "needs %CP_UID% or %SYS_UID%"},
		{PPIDFormat, "%CP_SHORT_TITLE%", "needs %CP_UID%"},
		{PPIDFormat, "100%", `no closing % after "%"`},
		{PPIDFormat, "%CP_UID", `no closing % after "%CP_UID"`},
		{PPIDFormat, "%cp_uid%", "%cp_uid%, which is not a known token"},
		{PPIDFormat, "%NOPE%-%CP_UID%", "%NOPE%, which is not a known token"},
		{PPIDFormat, "%VISIT_NAME%%CP_UID%", "%VISIT_NAME%, which has no value there"},
		{PPIDFormat, "%PPI%-%CP_UID%", "%PPI%, which has no value there"},
		{PPIDFormat, "%CP_UID(5%", "%CP_UID(5% without the closing bracket"},
		{PPIDFormat, "%CP_UID()%", "%CP_UID()%, whose width"},
		{PPIDFormat, "%CP_UID(0)%", "whose width"},
		{PPIDFormat, "%CP_UID(19)%", "between 1 and 18"},
		{PPIDFormat, "%CP_UID(-1)%", "whose width"},
		{PPIDFormat, "%099999d", "whose width"},
		{PPIDFormat, "%5d", "no closing %"},
		{PPIDFormat, "%CP_CODE(3)%%CP_UID%", "gives a width to %CP_CODE(3)%"},
		{VisitNameFormat, "V%05d", "no closing %"},
		{VisitNameFormat, "%PPI%-%EVENT_LABEL%", "needs %SYS_UID%"},
		{VisitNameFormat, "%PPI_UID%", "needs %SYS_UID%"},
		{VisitNameFormat, "%VISIT_UID%", "%VISIT_UID%, which has no value there"},
		{PrimaryLabelFormat, "%PSPEC_LABEL%-%PSPEC_UID%", "%PSPEC_LABEL%, which has no value there"},
		{PrimaryLabelFormat, "%VISIT_NAME%-%PPI_UID%", "needs %SYS_UID%"},
		{LabelFormat, "%PSPEC_LABEL%_%VISIT_UID%", "needs %SYS_UID%"},
		{TagFormat, "%PPI%-%SPEC_TYPE%", "needs %SYS_UID%"},
		{TagFormat, "%VISIT_NAME%-%VISIT_UID%", "%VISIT_UID%, which has no value there"},
		{PrimaryLabelFormat, "%SPEC_LABEL%", "%SPEC_LABEL%, which has no value there"},
	}
	for _, test := range tests {
		_, err := ParseFormat(test.kind, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.text, err, test.want)
		}
	}
}

func TestFormatMakes(t *testing.T) {
	values := &FormatValues{
		ShortTitle: "LUNG-2", ProtocolCode: "L2", PPID: "P7", EventCode: "E1", EventLabel: "Baseline", VisitName: "P7_V1",
		SpecimenType: "Plasma", CollectionYear: 2024, ParentLabel: "S9",
		Numbers: [counters]int64{Global: 12345678, PerProtocol: 42, PerParticipant: 3, PerVisit: 2, PerParent: 11},
	}
	tests := []struct {
		kind     FormatKind
		text     string
		want     string
		counters []Counter
	}{
		{PPIDFormat, "LC-%05d", "LC-00042", []Counter{PerProtocol}},
		{PPIDFormat, "%d", "42", []Counter{PerProtocol}},
		{PPIDFormat, "%CP_CODE%%CP_UID(4)%", "L20042", []Counter{PerProtocol}},
		{PPIDFormat, "%SYS_UID(3)%%CP_UID%", "1234567842", []Counter{Global, PerProtocol}},
		{PPIDFormat, "%%%d%%", "%42%", []Counter{PerProtocol}},
		{VisitNameFormat, "%PPI%_%EVENT_CODE%_%PPI_UID(2)%", "P7_E1_03", []Counter{PerParticipant}},
		{PrimaryLabelFormat, "%VISIT_NAME%-%SPEC_TYPE%-%VISIT_UID%/%YR_OF_COLL%", "P7_V1-Plasma-2/2024", []Counter{PerVisit}},
		{LabelFormat, "%PSPEC_LABEL%_%PSPEC_UID%", "S9_11", []Counter{PerParent}},
		{LabelFormat, "%CP_SHORT_TITLE%:%EVENT_LABEL%:%SYS_UID%", "LUNG-2:Baseline:12345678", []Counter{Global}},
	}
	for _, test := range tests {
		f, err := ParseFormat(test.kind, test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		got := f.Make(values)
		if got != test.want {
			t.Errorf("%q makes %q, want %q", test.text, got, test.want)
		}
		if diff := cmp.Diff(test.counters, f.Counters()); diff != "" {
			t.Errorf("%q draws (-want +got):\n%s", test.text, diff)
		}
		if !f.Matches(got) {
			t.Errorf("%q does not match what it made, %q", test.text, got)
		}
		if f.String() != test.text {
			t.Errorf("%q is told as %q", test.text, f)
		}
	}
}

func TestFormatMatchesWhatPeopleMakeUp(t *testing.T) {
	tests := []struct {
		kind FormatKind
		text string
		fit  []string
		not  []string
	}{
		{PPIDFormat, "LC-%05d", []string{"LC-00001", "LC-123456"}, []string{"", "LC-0001", "lc-00001", "LC-00001x", "xLC-00001", "LC-0000a", "LC-00001\n"}},
		{PPIDFormat, "A.%d", []string{"A.1"}, []string{"AB1", "A."}},
		{VisitNameFormat, "%PPI%_%EVENT_CODE%_%PPI_UID%", []string{"P1_E_1", "P1__2"}, []string{"P1_E_", "P1-E-1"}},
		{PrimaryLabelFormat, "%YR_OF_COLL%.%SYS_UID%", []string{"2024.1", ".1"}, []string{"24.1", "2024.", "20245.1"}},
	}
	for _, test := range tests {
		f, err := ParseFormat(test.kind, test.text)
		if err != nil {
			t.Fatalf("%q: %v", test.text, err)
		}
		for _, s := range test.fit {
			if !f.Matches(s) {
				t.Errorf("%q does not match %q", test.text, s)
			}
		}
		for _, s := range test.not {
			if f.Matches(s) {
				t.Errorf("%q matches %q", test.text, s)
			}
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%d", "LC-%05d", "%PSPEC_LABEL%_%PSPEC_UID(3)%", "%%", "%", "%SYS_UID(18)%", "%A(", "a%SYS_UID%%"} {
		f.Add(uint8(0), s)
		f.Add(uint8(3), s)
	}
	values := &FormatValues{ShortTitle: "T", PPID: "P", VisitName: "V", ParentLabel: "L", CollectionYear: 2001}
	for i := range values.Numbers {
		values.Numbers[i] = int64(i) + 1
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		format, err := ParseFormat(FormatKind(kind%5), text)
		if err != nil {
			return
		}
		made := format.Make(values)
		if !format.Matches(made) {
			t.Errorf("%q does not match what it made, %q", text, made)
		}
		if len(format.Counters()) == 0 {
			t.Errorf("%q counts nothing", text)
		}
	})
}
