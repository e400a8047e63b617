package odmapi_test

import (
	"strings"
	"testing"

	"aliquot/shared/blob"
	"aliquot/shared/clinical"
)

// metadata is the compiled metadata of S_RIVER, or of a site.
func (w *world) metadata(oid string) *clinical.Metadata {
	w.t.Helper()
	p, err := w.api.Registry.Place(w.t.Context(), oid)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := w.api.Registry.Metadata(w.t.Context(), p.Study)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.For(oid)
}

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	c := w.fallback
	c.must("PUT", "/studies/S_RIVER", `{}`)
	const path = "/studies/S_RIVER/metadata"
	river := mustRead(t, "testdata/river.xml")
	if got := c.must("PUT", path, river); got["metadataVersion"] != 1.0 || got["events"] != 3.0 || got["forms"] != 3.0 || got["items"] != 4.0 {
		t.Errorf("the first version: %v", got)
	}
	p, err := w.api.Registry.Place(t.Context(), "S_RIVER")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := w.api.Blobs.Get(t.Context(), blob.Object{Bucket: w.api.Results, Key: p.Study.Object}, 1<<20)
	if err != nil || string(stored) != river {
		t.Errorf("it is not kept as it was sent: %v", err)
	}
	first := w.metadata("S_RIVER")
	if first.Events[0].OID != "SE_FIRST" || first.Events[2].OID != "SE_LOG" || !first.Events[2].Common || first.Form("f_vitals") == nil {
		t.Errorf("compiled %+v", first)
	}

	// The second version leaves an event, a form and an item out and brings a site along.
	second := strings.NewReplacer(
		`<StudyEventRef StudyEventOID="SE_LOG" OrderNumber="3" Mandatory="No"/>`, ``,
		`<ItemRef ItemOID="I_PULSE" Mandatory="No"/>`, ``,
		`<ItemDef OID="I_PULSE" Name="Pulse" DataType="integer"/>`, `<ItemDef OID="I_HALF" Name="Half" DataType="fraction"/>`,
		`<FormRef FormOID="F_SCAN" Mandatory="No"/>`, ``,
		`</ODM>`, `<Study OID="S_ISLE"><GlobalVariables><StudyName>Isle</StudyName><ProtocolName>ISLE/1</ProtocolName></GlobalVariables>
			<MetaDataVersion OID="v1" Name="Isle"><Include StudyOID="S_RIVER" MetaDataVersionOID="v1.0.0"/>
			<StudyEventDef OID="SE_AGAIN" Name="Further visit" Repeating="Yes" Type="Unscheduled"><FormRef FormOID="F_VITALS" Mandatory="Yes">
			<OpenClinica:ConfigurationParameters HideCRF="Yes"/></FormRef></StudyEventDef></MetaDataVersion></Study></ODM>`,
	).Replace(river)
	second = cut(t, second, `<StudyEventDef OID="SE_LOG"`, `</StudyEventDef>`)
	second = cut(t, second, `<FormDef OID="F_LOG"`, `</FormDef>`)
	second = cut(t, second, `<ItemGroupDef OID="IG_LOG"`, `</ItemGroupDef>`)
	second = cut(t, second, `<ItemDef OID="I_LOG"`, `/>`)
	got := c.must("PUT", path, second)
	if got["metadataVersion"] != 2.0 || got["events"] != 3.0 || got["forms"] != 3.0 || got["items"] != 5.0 {
		t.Errorf("the second version: %v", got)
	}
	if warnings := got["warnings"].([]any); len(warnings) != 1 || !strings.Contains(warnings[0].(string), "I_HALF") {
		t.Errorf("warnings %v", got["warnings"])
	}
	if site := c.must("GET", "/studies/S_ISLE", ""); site["parent"] != "S_RIVER" || site["name"] != "Isle" || site["uniqueProtocolId"] != "S_ISLE" {
		t.Errorf("the site that came along is %v", site)
	}
	m := w.metadata("S_RIVER")
	scan := m.Event("SE_FIRST").Ref(m.Form("F_SCAN"))
	if !m.Event("SE_LOG").Archived || !m.Form("F_LOG").Archived || !m.Items["I_LOG"].Archived || !m.Items["I_PULSE"].Archived ||
		m.Form("F_SCAN").Archived || !scan.Archived || m.Event("SE_AGAIN").Archived || m.Items["I_SEX"].Archived {
		t.Errorf("archived: log %+v, scan %+v", m.Event("SE_LOG"), scan)
	}
	if m.Event("SE_AGAIN").Forms[0].Hidden || !w.metadata("S_ISLE").Event("SE_AGAIN").Forms[0].Hidden {
		t.Error("a form is hidden where it should not, or shown where it should not")
	}
	// The third brings all of it back.
	c.must("PUT", path, river)
	if m := w.metadata("S_RIVER"); m.Event("SE_LOG").Archived || m.Items["I_PULSE"].Archived || m.Event("SE_FIRST").Ref(m.Form("F_SCAN")).Archived || !m.Items["I_HALF"].Archived {
		t.Error("what came back is still archived")
	}
}

// cut takes out what is from one text up to the next other.
func cut(t *testing.T, s, from, to string) string {
	t.Helper()
	i := strings.Index(s, from)
	if i < 0 {
		t.Fatalf("no %s", from)
	}
	j := strings.Index(s[i:], to)
	return s[:i] + s[i+j+len(to):]
}

func TestMetadataThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.fallback.must("PUT", "/studies/S_LAKE", `{}`)
	river := mustRead(t, "testdata/river.xml")
	with := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(river, pairs[i]) {
				t.Fatalf("no %s", pairs[i])
			}
		}
		return strings.NewReplacer(pairs...).Replace(river)
	}
	site := func(oid, include string) string {
		return `<Study OID="` + oid + `"><MetaDataVersion OID="v" Name="v">` + include + `</MetaDataVersion></Study></ODM>`
	}
	const include = `<Include StudyOID="S_RIVER" MetaDataVersionOID="v1.0.0"/>`
	for name, tt := range map[string]struct {
		document string
		status   int
		told     string
	}{
		"nothing":              {"", 415, "errorCode.invalidXMLFile"},
		"cut off":              {river[:500], 415, "errorCode.invalidXMLFile"},
		"no study":             {"<ODM/>", 400, "no Study with the OID"},
		"another study":        {with(`Study OID="S_RIVER"`, `Study OID="S_BROOK"`), 400, "no Study with the OID"},
		"no version":           {`<ODM><Study OID="S_RIVER"><GlobalVariables/></Study></ODM>`, 400, "no MetaDataVersion"},
		"no names":             {`<ODM><Study OID="S_RIVER"><MetaDataVersion OID="v" Name="v"/></Study></ODM>`, 400, "no GlobalVariables"},
		"event without OID":    {with(`StudyEventDef OID="SE_LOG"`, `StudyEventDef`), 400, "A StudyEventDef has no OID"},
		"event without name":   {with(`Name="Log" Repeating="Yes" Type`, `Repeating="Yes" Type`), 400, "SE_LOG has no Name"},
		"event once or more":   {with(`Name="Log" Repeating="Yes" Type`, `Name="Log" Type`), 400, "SE_LOG does not tell"},
		"event twice":          {with(`StudyEventDef OID="SE_LOG"`, `StudyEventDef OID="se_first"`), 400, "se_first is there twice"},
		"no such event":        {with(`StudyEventDef OID="SE_LOG"`, `StudyEventDef OID="SE_BOG"`), 400, "names the event SE_LOG"},
		"no such form":         {with(`FormRef FormOID="F_LOG"`, `FormRef FormOID="F_BOG"`), 400, "names the form F_BOG"},
		"no such layout":       {with(`FormLayoutRef OID="2"`, `FormLayoutRef OID="3"`), 400, "names the version 3 of form F_VITALS"},
		"no such group":        {with(`ItemGroupRef ItemGroupOID="IG_LOG"`, `ItemGroupRef ItemGroupOID="IG_BOG"`), 400, "names the item group IG_BOG"},
		"no such item":         {with(`ItemRef ItemOID="I_LOG"`, `ItemRef ItemOID="I_BOG"`), 400, "names the item I_BOG"},
		"no such list":         {with(`CodeListRef CodeListOID="CL_SEX"`, `CodeListRef CodeListOID="CL_X"`), 400, "names the CodeList CL_X"},
		"no data type":         {with(`Name="Pulse" DataType="integer"`, `Name="Pulse"`), 400, "I_PULSE has no DataType"},
		"a long OID":           {with(`ItemDef OID="I_LOG"`, `ItemDef OID="`+strings.Repeat("I", 129)+`"`), 400, "more than 128 bytes"},
		"a study beside it":    {with(`</ODM>`, site("S_ISLE", "")), 400, "S_ISLE is no site of S_RIVER"},
		"a known study":        {with(`</ODM>`, site("S_LAKE", include)), 400, "cannot be used for a site of S_RIVER"},
		"a site twice":         {with(`</ODM>`, strings.TrimSuffix(site("S_ISLE", include), "</ODM>")+site("s_isle", include)), 400, "there twice"},
		"a site's own event":   {with(`</ODM>`, site("S_ISLE", include+`<StudyEventDef OID="SE_OWN" Name="Own" Repeating="No" Type="Common"/>`)), 400, "names the event SE_OWN"},
		"a site without sense": {with(`</ODM>`, site("S/ISLE", include)), 400, "STUDY_OID_INVALID"},
		"many faults at once":  {with(`ItemRef ItemOID="I_LOG"`, `ItemRef ItemOID="I_BOG"`, `FormRef FormOID="F_LOG"`, `FormRef FormOID="F_BOG"`), 400, `names the item I_BOG, which is not defined."},{"code`},
	} {
		t.Run(name, func(t *testing.T) {
			w.fallback.do("PUT", "/studies/S_RIVER/metadata", tt.document).refused(t, tt.status, tt.told)
		})
	}
	w.fallback.do("PUT", "/studies/S_NONE/metadata", river).refused(t, 404, "errorCode.studyOIDNotFound")
	w.fallback.do("PUT", "/studies/S_SPRING/metadata", river).refused(t, 404, "errorCode.studyOIDNotFound")
	body, header := form(part{"file", "river.csv", river})
	w.fallback.do("PUT", "/studies/S_RIVER/metadata", body, header).refused(t, 415, "errorCode.fileFormatNotSupported")
	w.fallback.do("PUT", "/studies/S_RIVER/metadata?upload=x", "").refused(t, 404, "errorCode.invalidUuid")
	if got := w.fallback.must("GET", "/studies/S_RIVER", ""); got["metadataVersion"] != 1.0 {
		t.Errorf("refused documents made version %v", got["metadataVersion"])
	}
	w.fallback.do("GET", "/studies/S_ISLE", "").refused(t, 404, "errorCode.studyOIDNotFound")
}

func TestMetadataByOtherWays(t *testing.T) {
	w := newWorld(t)
	w.fallback.must("PUT", "/studies/S_RIVER", `{}`)
	river := mustRead(t, "testdata/river.xml")
	body, header := form(part{"file", "river.xml", river})
	if a := w.fallback.do("PUT", "/studies/S_RIVER/metadata", body, header); a.status != 200 {
		t.Errorf("as a form: %d %s", a.status, a.body)
	}
	uuid := w.fallback.upload("/studies/S_RIVER/metadata/upload-url", "river.xml", strings.Replace(river, "</ODM>", strings.Repeat("<!-- a line -->\n", 400_000)+"</ODM>", 1), "")
	if got := w.fallback.must("PUT", "/studies/S_RIVER/metadata?upload="+uuid, ""); got["metadataVersion"] != 2.0 {
		t.Errorf("as an upload: %v", got)
	}
	j := w.job(w.fallback.do("POST", "/clinicaldata/import/xml", document("S_RIVER", "R-1", "")))
	a := w.fallback.do("PUT", "/studies/S_RIVER/metadata?upload="+j.UUID, "")
	if a.status != 400 || strings.Contains(a.body, "invalidUuid") { // it is read, and defines nothing
		t.Errorf("the document of an import: %d %s", a.status, a.body)
	}
}

// In production nothing may change that stored data would not fit (sections 8.1 and 8.2).
func TestMetadataInProduction(t *testing.T) {
	w := newWorld(t)
	w.river()
	river := mustRead(t, "testdata/river.xml")
	if got := w.fallback.must("PUT", "/studies/S_RIVER/publish", ""); got["environment"] != "PROD" {
		t.Errorf("published %v", got)
	}
	for name, tt := range map[string]struct{ from, to, told string }{
		"stop repeating":  {`Name="Further visit" Repeating="Yes"`, `Name="Further visit" Repeating="No"`, "event SE_AGAIN repeats"},
		"become common":   {`Type="Unscheduled"`, `Type="Common"`, "event SE_AGAIN cannot change"},
		"become a visit":  {`Type="Common"`, `Type="Scheduled"`, "event SE_LOG cannot change"},
		"group stops to":  {`OID="IG_LOG" Name="Log" Repeating="Yes"`, `OID="IG_LOG" Name="Log" Repeating="No"`, "item group IG_LOG repeats"},
		"text to number":  {`Name="Log" DataType="text"`, `Name="Log" DataType="float"`, "item I_LOG has a data type"},
		"number to truth": {`Name="Pulse" DataType="integer"`, `Name="Pulse" DataType="boolean"`, "item I_PULSE has a data type"},
		"file to text":    {`ResponseType="file"`, `ResponseType="text"`, "item I_SCAN cannot change"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(river, tt.from) {
				t.Fatalf("no %s", tt.from)
			}
			a := w.fallback.do("PUT", "/studies/S_RIVER/metadata", strings.Replace(river, tt.from, tt.to, 1))
			a.refused(t, 400, tt.told)
			a.refused(t, 400, "STUDY_METADATA_INCOMPATIBLE")
		})
	}
	wider := strings.NewReplacer(`Name="Pulse" DataType="integer"`, `Name="Pulse" DataType="float"`,
		`Name="First visit" Repeating="No"`, `Name="First visit" Repeating="Yes"`).Replace(river)
	if got := w.fallback.must("PUT", "/studies/S_RIVER/metadata", wider); got["metadataVersion"] != 2.0 {
		t.Errorf("a wider version: %v", got)
	}
}
