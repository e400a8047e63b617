package odmapi_test

import (
	"strings"
	"testing"
)

// TestArchivedDefinitions: what a newer upload no longer defines comes out with archived data, and only with them.
func TestArchivedDefinitions(t *testing.T) {
	w := newWorld(t)
	c := w.fallback
	c.must("PUT", "/studies/S_LAKE", `{"name":"Lake","uniqueProtocolId":"LAKE"}`)
	upload := func(units, event, refs, defs string) {
		t.Helper()
		doc := `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" ODMVersion="1.3" FileOID="F" FileType="Snapshot" CreationDateTime="2026-03-01T09:00:00"><Study OID="S_LAKE"><GlobalVariables><StudyName>Lake</StudyName><StudyDescription>x</StudyDescription><ProtocolName>Lake</ProtocolName></GlobalVariables>` + units + `
			<MetaDataVersion OID="v1" Name="v1"><Protocol><StudyEventRef StudyEventOID="SE_NEW" Mandatory="Yes"/></Protocol>` + event + `
			<StudyEventDef OID="SE_NEW" Name="New" Repeating="No" Type="Scheduled"><FormRef FormOID="F_NEW" Mandatory="No"/></StudyEventDef>
			<FormDef OID="F_NEW" Name="New" Repeating="No"><ItemGroupRef ItemGroupOID="IG_NEW" Mandatory="No"/></FormDef>
			<ItemGroupDef OID="IG_NEW" Name="New" Repeating="No"><ItemRef ItemOID="I_NEW" Mandatory="No"/>` + refs + `</ItemGroupDef>
			<ItemDef OID="I_NEW" Name="New" DataType="text"/>` + defs + `</MetaDataVersion></Study></ODM>`
		if a := c.do("PUT", "/studies/S_LAKE/metadata", doc, "Content-Type: application/xml"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	upload(`<BasicDefinitions><MeasurementUnit OID="MU_H" Name="h"><Symbol><TranslatedText>h</TranslatedText></Symbol></MeasurementUnit></BasicDefinitions>`,
		`<StudyEventDef OID="SE_OLD" Name="Old" Repeating="Yes" Type="Common"><FormRef FormOID="F_OLD" Mandatory="No"/></StudyEventDef>`,
		`<ItemRef ItemOID="I_LATE" Mandatory="No"/>`, `<ItemDef OID="I_LATE" Name="Late" DataType="integer"><Question><TranslatedText>How late?</TranslatedText></Question><MeasurementUnitRef MeasurementUnitOID="MU_H"/><CodeListRef CodeListOID="CL_LATE"/></ItemDef>
		<CodeList OID="CL_LATE" Name="Late" DataType="integer"><CodeListItem CodedValue="7"><Decode><TranslatedText>seven then</TranslatedText></Decode></CodeListItem></CodeList>
		<FormDef OID="F_OLD" Name="Old" Repeating="No"><ItemGroupRef ItemGroupOID="IG_OLD" Mandatory="No"/></FormDef>
		<ItemGroupDef OID="IG_OLD" Name="Old" Repeating="Yes"><ItemRef ItemOID="I_OLD" Mandatory="No"/></ItemGroupDef><ItemDef OID="I_OLD" Name="Old" DataType="date"/>`)
	upload("", "", "", "")
	upload("", "", "", `<ItemDef OID="I_OTHER" Name="Other" DataType="text"/>`) // what was archived stays as it was then
	upload("", "", "", "")
	c.must("POST", "/clinicaldata/studies/S_LAKE/participants", `{"subjectKey":"L-1"}`)
	path := "/clinicaldata/S_LAKE/*/*/*?includeMetadata=y"
	for _, old := range []string{
		`<StudyEventDef OID="SE_OLD" Name="Old" Repeating="Yes" Type="Common" OpenClinica:Status="archived">`, `<FormRef FormOID="F_OLD" Mandatory="No" OpenClinica:Status="archived"`,
		`<FormDef OID="F_OLD" Name="Old" Repeating="No">`, `<ItemGroupRef ItemGroupOID="IG_OLD" Mandatory="No"/>`,
		`<ItemGroupDef OID="IG_OLD" Name="Old" Repeating="Yes">`, `<ItemRef ItemOID="I_LATE" Mandatory="No"/>`,
		`<ItemDef OID="I_LATE" Name="Late" DataType="integer">`, `How late?`, `<MeasurementUnitRef MeasurementUnitOID="MU_H"/>`, `<CodeListRef CodeListOID="CL_LATE"/>`,
		`<CodeList OID="CL_LATE" Name="Late" DataType="integer">`, `seven then`, `<MeasurementUnit OID="MU_H" Name="h">`,
		`<ItemDef OID="I_OLD" Name="Old" DataType="date"/>`,
	} {
		if body := c.do("GET", path, "", "Accept: application/xml").body; strings.Contains(body, old) {
			t.Errorf("%s is given out without archived data", old)
		}
		if body := c.do("GET", path+"&showArchived=y", "", "Accept: application/xml").body; strings.Count(body, old) != 1 {
			t.Errorf("%s is there %d times:\n%s", old, strings.Count(body, old), body)
			break
		}
	}
}
