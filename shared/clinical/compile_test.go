package clinical

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// old is an invented study in the dialect of 3.x: forms are there as versions, of which one item is in two, and a site takes
// another version than the study.
const old = `<ODM xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1">
<Study OID="S_OLD"><GlobalVariables/><MetaDataVersion OID="v1.0.0" Name="first">
	<StudyEventDef OID="SE_GONE" Name="Of an earlier version" Repeating="No" Type="Scheduled"/>
</MetaDataVersion><MetaDataVersion OID="v2.0.0" Name="last">
	<Protocol><StudyEventRef StudyEventOID="SE_B" OrderNumber="10"/><StudyEventRef StudyEventOID="SE_A" OrderNumber="9"/></Protocol>
	<StudyEventDef OID="SE_EXTRA" Name="Extra" Repeating="No" Type="Scheduled" OpenClinica:EventType="common"/>
	<StudyEventDef OID="SE_B" Name="B" Repeating="Yes" Type="Unscheduled"><FormRef FormOID="F_VITALS_V10"/></StudyEventDef>
	<StudyEventDef OID="SE_A" Name="A" Repeating="No" Type="Scheduled">
		<FormRef FormOID="F_VITALS_V10"/><FormRef FormOID="F_VITALS_V20"/><FormRef FormOID="F_PLAIN"/>
	</StudyEventDef>
	<FormDef OID="F_VITALS_V10" Name="Vital - signs - v1.0" Repeating="No"><ItemGroupRef ItemGroupOID="IG_V"/>
		<OpenClinica:FormDetails FormOID="F_VITALS_V10" ParentFormOID="F_VITALS">
			<OpenClinica:PresentInEventDefinition StudyEventOID="SE_A" IsDefaultVersion="Yes" HideCRF="No"/>
			<OpenClinica:PresentInEventDefinition StudyEventOID="SE_B" IsDefaultVersion="Yes" HideCRF="Yes"/>
		</OpenClinica:FormDetails></FormDef>
	<FormDef OID="F_VITALS_V20" Name="Vital - signs - v2.0" Repeating="No"><ItemGroupRef ItemGroupOID="IG_V"/><ItemGroupRef ItemGroupOID="IG_W"/>
		<OpenClinica:FormDetails FormOID="F_VITALS_V20" ParentFormOID="F_VITALS">
			<OpenClinica:PresentInEventDefinition StudyEventOID="SE_A" IsDefaultVersion="No" HideCRF="No"/>
		</OpenClinica:FormDetails></FormDef>
	<FormDef OID="F_PLAIN" Name="Plain" Repeating="No"/>
	<ItemGroupDef OID="IG_V" Name="V" Repeating="No"><ItemRef ItemOID="I_1"/></ItemGroupDef>
	<ItemGroupDef OID="IG_V" Name="V" Repeating="No"><ItemRef ItemOID="I_1"/><ItemRef ItemOID="I_2"/></ItemGroupDef>
	<ItemGroupDef OID="IG_W" Name="W" Repeating="Yes"><ItemRef ItemOID="I_3"/><ItemRef ItemOID="I_4"/><ItemRef ItemOID="I_5"/><ItemRef ItemOID="I_6"/><ItemRef ItemOID="I_7"/></ItemGroupDef>
	<ItemDef OID="I_1" Name="1" DataType="integer"><CodeListRef CodeListOID="CL_1"/>
		<OpenClinica:ItemDetails ItemOID="I_1"><OpenClinica:ItemPresentInForm FormOID="F_VITALS_V10" PHI="Yes"><OpenClinica:ItemResponse ResponseType="radio"/></OpenClinica:ItemPresentInForm></OpenClinica:ItemDetails></ItemDef>
	<ItemDef OID="I_1" Name="1" DataType="integer"><CodeListRef CodeListOID="CL_2"/></ItemDef>
	<ItemDef OID="I_2" Name="2" DataType="text"><OpenClinica:MultiSelectListRef MultiSelectListID="MSL_1"/></ItemDef>
	<ItemDef OID="I_3" Name="3" DataType="float"><CodeListRef CodeListOID="CL_1"/>
		<OpenClinica:ItemDetails ItemOID="I_3"><OpenClinica:ItemPresentInForm FormOID="F_VITALS_V20"><OpenClinica:ItemResponse ResponseType="text"/></OpenClinica:ItemPresentInForm></OpenClinica:ItemDetails></ItemDef>
	<ItemDef OID="I_4" Name="4" DataType="integer"><CodeListRef CodeListOID="CL_1"/>
		<OpenClinica:ItemDetails ItemOID="I_4"><OpenClinica:ItemPresentInForm FormOID="F_VITALS_V20"><OpenClinica:ItemResponse ResponseType="Checkbox"/></OpenClinica:ItemPresentInForm></OpenClinica:ItemDetails></ItemDef>
	<ItemDef OID="I_5" Name="5" DataType="text">
		<OpenClinica:ItemDetails ItemOID="I_5"><OpenClinica:ItemPresentInForm FormOID="F_VITALS_V20"><OpenClinica:ItemResponse ResponseType="image"/></OpenClinica:ItemPresentInForm></OpenClinica:ItemDetails></ItemDef>
	<ItemDef OID="I_6" Name="6" DataType="partialDate"/>
	<ItemDef OID="I_7" Name="7" DataType="text"><CodeListRef CodeListOID="CL_FAR"/></ItemDef>
	<CodeList OID="CL_1" Name="1" DataType="integer"><CodeListItem CodedValue="1"/></CodeList>
	<CodeList OID="CL_2" Name="2" DataType="integer"><EnumeratedItem CodedValue="2"/></CodeList>
	<CodeList OID="CL_FAR" Name="far" DataType="text"><ExternalCodeList Dictionary="MedDRA" Version="1"/></CodeList>
	<OpenClinica:MultiSelectList ID="MSL_1" Name="m"><OpenClinica:MultiSelectListItem CodedOptionValue="a"/><OpenClinica:MultiSelectListItem CodedOptionValue="b"/></OpenClinica:MultiSelectList>
</MetaDataVersion></Study>
<Study OID="S_SITE"><MetaDataVersion OID="v2.0.0-S_SITE" Name="site"><Include StudyOID="S_OLD" MetaDataVersionOID="v2.0.0"/>
	<StudyEventDef OID="SE_A" Name="A" Repeating="No" Type="Scheduled"><FormRef FormOID="F_VITALS_V20"/></StudyEventDef>
	<FormDef OID="F_VITALS_V20" Name="Vital - signs - v2.0" Repeating="No"><OpenClinica:FormDetails FormOID="F_VITALS_V20" ParentFormOID="F_VITALS">
		<OpenClinica:PresentInEventDefinition StudyEventOID="SE_A" IsDefaultVersion="Yes"/></OpenClinica:FormDetails></FormDef>
</MetaDataVersion></Study></ODM>`

func mustCompile(t *testing.T, oid, document string) *Compiled {
	t.Helper()
	studies, err := readStudies([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(oid, studies)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompile(t *testing.T) {
	c := mustCompile(t, "S_OLD", old)
	is := func(values ...string) map[string]bool {
		set := map[string]bool{}
		for _, v := range values {
			set[v] = true
		}
		return set
	}
	want := &Metadata{
		Study: "S_OLD",
		Events: []*EventDef{
			{OID: "SE_A", Name: "A", Forms: []FormRef{
				{Form: "F_VITALS", Default: "v1.0", Layouts: []string{"v1.0", "v2.0"}}, {Form: "F_PLAIN", Default: "1"},
			}},
			{OID: "SE_B", Name: "B", Repeating: true, Forms: []FormRef{{Form: "F_VITALS", Default: "v1.0", Layouts: []string{"v1.0"}, SiteHidden: true}}},
			{OID: "SE_EXTRA", Name: "Extra", Common: true},
		},
		Forms: map[string]*FormDef{
			"F_VITALS": {OID: "F_VITALS", Name: "Vital - signs", Groups: []string{"IG_V", "IG_W"}, Layouts: []Layout{
				{Name: "v1.0", OID: "F_VITALS_V10"}, {Name: "v2.0", OID: "F_VITALS_V20"},
			}},
			"F_PLAIN": {OID: "F_PLAIN", Name: "Plain", Layouts: []Layout{{Name: "1"}}},
		},
		Groups: map[string]*GroupDef{
			"IG_V": {OID: "IG_V", Name: "V", Items: []string{"I_1", "I_2"}},
			"IG_W": {OID: "IG_W", Name: "W", Repeating: true, Items: []string{"I_3", "I_4", "I_5", "I_6", "I_7"}},
		},
		Items: map[string]*ItemDef{
			"I_1": {OID: "I_1", Name: "1", Type: Integer, Codes: is("1", "2")},
			"I_2": {OID: "I_2", Name: "2", Codes: is("a", "b"), Multiple: true},
			"I_3": {OID: "I_3", Name: "3", Type: Real},
			"I_4": {OID: "I_4", Name: "4", Type: Integer, Codes: is("1"), Multiple: true},
			"I_5": {OID: "I_5", Name: "5", File: true},
			"I_6": {OID: "I_6", Name: "6", Type: PartialDate},
			"I_7": {OID: "I_7", Name: "7"},
		},
	}
	if diff := cmp.Diff(want, c.Study, cmpopts.IgnoreUnexported(Metadata{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f := c.Study.Form("f_vitals_v20"); f == nil || f.OID != "F_VITALS" {
		t.Errorf("by the OID of a version: %+v", f)
	}

	// What is stored of it is the same again.
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again Compiled
	if err := json.Unmarshal(body, &again); err != nil {
		t.Fatal(err)
	}
	again.Study.index()
	if diff := cmp.Diff(c, &again, cmpopts.IgnoreUnexported(Metadata{})); diff != "" {
		t.Errorf("stored and read (-want +got):\n%s", diff)
	}

	site := again.For("s_site")
	a, b := site.Event("SE_A").Forms, site.Event("SE_B").Forms[0]
	if diff := cmp.Diff([]FormRef{{Form: "F_VITALS", Default: "v2.0", Layouts: []string{"v2.0"}}, {Form: "F_PLAIN", Default: "1"}}, a); diff != "" {
		t.Errorf("at the site (-want +got):\n%s", diff)
	}
	if !b.Hidden || again.Study.Event("SE_B").Forms[0].Hidden || again.For("S_OTHER").Event("SE_A").Forms[0].Default != "v1.0" {
		t.Error("what a site does otherwise shows elsewhere, or what holds for all sites does not hold")
	}
	if again.For("S_OLD") != again.Study {
		t.Error("the study is taken for a site")
	}
}

func TestSubjectOID(t *testing.T) {
	for label, want := range map[string]string{
		"ALQ-001": "SS_ALQ001", "a b.c/1": "SS_ABC1", "ü": "SS_", "": "SS_", "SS_x": "SS_SSX",
		"123456789012345678901234567890": "SS_123456789012345678901234567890",
	} {
		if got := subjectOID(label); got != want {
			t.Errorf("%q gives %s, want %s", label, got, want)
		}
	}
}

func TestTypesThatFit(t *testing.T) {
	all := []Kind{Text, Integer, Real, Boolean, Date, PartialDate}
	fits := map[[2]Kind]bool{{Integer, Real}: true, {Date, PartialDate}: true}
	for _, from := range all {
		for _, to := range all {
			want := from == to || to == Text || fits[[2]Kind{from, to}]
			if got := from.fits(to); got != want {
				t.Errorf("%v to %v: %v, want %v", from, to, got, want)
			}
		}
	}
}

// Data that name no version go into one that is offered where they are: not into an archived one, nor one that a site has not
// chosen.
func TestUsualVersion(t *testing.T) {
	const ns = `xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1" FileType="Snapshot" FileOID="x" CreationDateTime="2026-01-01T00:00:00Z"`
	form := func(layouts, refs, site string) *Compiled {
		t.Helper()
		return mustCompile(t, "S_V", `<ODM `+ns+`><Study OID="S_V"><GlobalVariables><StudyName>V</StudyName><StudyDescription>V</StudyDescription><ProtocolName>V</ProtocolName></GlobalVariables>
			<MetaDataVersion OID="v1" Name="V"><Protocol><StudyEventRef StudyEventOID="SE_A" Mandatory="Yes"/></Protocol>
			<StudyEventDef OID="SE_A" Name="A" Repeating="No" Type="Scheduled"><FormRef FormOID="F_A" Mandatory="Yes">`+refs+`</FormRef></StudyEventDef>
			<FormDef OID="F_A" Name="A" Repeating="No">`+layouts+`</FormDef></MetaDataVersion></Study>
			<Study OID="S_SITE"><GlobalVariables><StudyName>W</StudyName><StudyDescription>W</StudyDescription><ProtocolName>W</ProtocolName></GlobalVariables>
			<MetaDataVersion OID="v1" Name="W"><Include StudyOID="S_V" MetaDataVersionOID="v1"/>
			<StudyEventDef OID="SE_A" Name="A" Repeating="No" Type="Scheduled"><FormRef FormOID="F_A" Mandatory="Yes">`+site+`</FormRef></StudyEventDef></MetaDataVersion></Study></ODM>`)
	}
	const (
		one, two  = `<OpenClinica:FormLayoutDef OID="1"/>`, `<OpenClinica:FormLayoutDef OID="2"/>`
		twoGone   = `<OpenClinica:FormLayoutDef OID="2" Status="archived"/>`
		first     = `<OpenClinica:FormLayoutRef OID="1"/>`
		second    = `<OpenClinica:FormLayoutRef OID="2" IsDefaultVersion="Yes"/>`
		firstMain = `<OpenClinica:FormLayoutRef OID="1" IsDefaultVersion="Yes"/>`
	)
	for _, tt := range []struct{ name, layouts, refs, site, study, atSite string }{
		{"the last", one + two, "", "", "2", "2"},
		{"the last is archived", one + twoGone, "", "", "1", "1"},
		{"the default is archived", one + twoGone, first + second, "", "1", "1"},
		{"the default", one + two, firstMain, "", "1", "1"},
		{"a site has chosen another", one + two, first + second, first, "2", "1"},
		{"none is left", twoGone, "", "", "2", "2"},
	} {
		c := form(tt.layouts, tt.refs, tt.site)
		study, site := c.Study.Event("SE_A").Forms[0].Default, c.For("S_SITE").Event("SE_A").Forms[0].Default
		if study != tt.study || site != tt.atSite {
			t.Errorf("%s: %s in the study, %s at the site; want %s, %s", tt.name, study, site, tt.study, tt.atSite)
		}
	}
}
