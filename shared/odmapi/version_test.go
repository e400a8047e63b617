package odmapi_test

import (
	"regexp"
	"strings"
	"testing"
)

// Of a study whose forms are defined version by version (3.x, sections 1.2 and 6.4) the data name the versions: what they
// name is defined in the same document, also when a newer upload has no such version any more.
func TestFormsOfVersions(t *testing.T) {
	w := newWorld(t)
	c := w.fallback
	version := func(n string) string {
		return `<FormDef OID="F_TIDE_V` + n + `" Name="Tide - v` + n + `" Repeating="No"><ItemGroupRef ItemGroupOID="IG_TIDE" Mandatory="No"/>
			<OpenClinica:FormDetails FormOID="F_TIDE_V` + n + `" ParentFormOID="F_TIDE"><OpenClinica:PresentInEventDefinition StudyEventOID="SE_TIDE" IsDefaultVersion="No" HideCRF="No"/></OpenClinica:FormDetails></FormDef>`
	}
	metadata := func(versions ...string) string {
		var refs, defs string
		for _, n := range versions {
			refs += `<FormRef FormOID="F_TIDE_V` + n + `" Mandatory="No"/>`
			defs += version(n)
		}
		return `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1" FileOID="t" FileType="Snapshot" CreationDateTime="2026-01-01T00:00:00Z" ODMVersion="1.3">
			<Study OID="S_TIDE"><GlobalVariables><StudyName>Tide</StudyName><StudyDescription>Tide</StudyDescription><ProtocolName>Tide</ProtocolName></GlobalVariables>
			<MetaDataVersion OID="v1" Name="1"><Protocol><StudyEventRef StudyEventOID="SE_TIDE" Mandatory="No"/></Protocol>
			<StudyEventDef OID="SE_TIDE" Name="Tide" Repeating="Yes" Type="Scheduled">` + refs + `</StudyEventDef>` + defs + `
			<ItemGroupDef OID="IG_TIDE" Name="Tide" Repeating="No"><ItemRef ItemOID="I_TIDE" Mandatory="No"/></ItemGroupDef>
			<ItemDef OID="I_TIDE" Name="Tide" DataType="integer"/></MetaDataVersion></Study></ODM>`
	}
	c.must("PUT", "/studies/S_TIDE", `{"name":"Tide","uniqueProtocolId":"TIDE"}`)
	c.must("PUT", "/studies/S_TIDE/metadata", metadata("1", "2"))
	c.must("POST", "/clinicaldata/studies/S_TIDE/participants", `{"subjectKey":"T-1"}`)
	data := func(day, form string) string {
		return `<ODM xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="S_TIDE"><SubjectData OpenClinica:StudySubjectID="T-1"><StudyEventData StudyEventOID="SE_TIDE" StudyEventRepeatKey="` + day + `" OpenClinica:StartDate="2026-02-0` + day + `">
			<FormData ` + form + `><ItemGroupData ItemGroupOID="IG_TIDE"><ItemData ItemOID="I_TIDE" Value="` + day + `"/></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
	}
	w.take("S_TIDE", data("1", `FormOID="F_TIDE_V1"`))
	w.take("S_TIDE", data("2", `FormOID="F_TIDE" OpenClinica:Version="v2"`))

	named := regexp.MustCompile(`<FormData FormOID="(\w+)" OpenClinica:FormName="Tide" OpenClinica:FormLayoutOID="(\w+)"`)
	defined := func(query string, want ...string) {
		t.Helper()
		a := c.do("GET", "/clinicaldata/S_TIDE/*/*/*?includeMetadata=y"+query, "", "Accept: application/xml")
		var got []string
		for _, m := range named.FindAllStringSubmatch(a.body, -1) {
			got = append(got, m[1]+" "+m[2])
			if !strings.Contains(a.body, `<FormDef OID="`+m[1]+`"`) || !strings.Contains(a.body, `<FormRef FormOID="`+m[1]+`"`) {
				t.Errorf("%s is not defined in\n%s", m[1], a.body)
			}
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: the data are in %q, want %q", query, got, want)
		}
	}
	defined("", "F_TIDE_V1 v1", "F_TIDE_V2 v2")
	c.must("PUT", "/studies/S_TIDE/metadata", metadata("2"))
	defined("&showArchived=y", "F_TIDE_V1 v1", "F_TIDE_V2 v2")
	defined("", "F_TIDE_V2 v2")
}
