package csvimport_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
)

const habits = `{"name":%q,"caption":%q,"rows":[[
	{"type":"combobox","name":"DD1","udn":"status","caption":"Status Now","mandatory":true,"pvs":[{"value":"Current"},{"value":"Never"}]},
	{"type":"numberField","name":"NU2","udn":"packs","caption":"Packs"},
	{"type":"datePicker","name":"DT3","udn":"on","caption":"Quit On","format":"yyyy/MM/dd"},
	{"type":"datePicker","name":"DT4","udn":"at","caption":"Asked At","format":"yyyy/MM/dd HH:mm"},
	{"type":"multiSelectListbox","name":"MS5","udn":"brands","caption":"Brands","pvs":[{"value":"Red"},{"value":"Blue"}]},
	{"type":"fileUpload","name":"FU6","udn":"scan","caption":"Scan"},
	{"type":"subForm","name":"SF7","udn":"tries","caption":"Tries","rows":[[{"type":"numberField","name":"NU1","caption":"Year"},{"type":"stringTextField","name":"ST2","caption":"How"}]]}]]}`

// form makes a form and associates it with levels in protocol 1.
func (r *rig) form(name, caption string, multi bool, levels ...biobank.Level) int64 {
	r.t.Helper()
	f := r.apply(r.admin, &biobank.FormDraft{Definition: fmt.Appendf(nil, habits, name, caption)})
	for _, level := range levels {
		d := &biobank.FormContextsDraft{FormID: f.ID, Contexts: []biobank.FormContextDoc{{Level: level, ProtocolID: 1, MultiRecord: multi}}}
		r.apply(r.admin, d)
	}
	return f.ID
}

// values are the custom fields of an object as JSON, "" for none.
func values(t *testing.T, e *biobank.Extension) string {
	t.Helper()
	if e == nil {
		return ""
	}
	text, err := json.Marshal(e.Values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r *rig) found(t *testing.T, typ biobank.Type, name string) *biobank.Record {
	t.Helper()
	recs, err := r.reg.ByName(t.Context(), r.admin, typ, []string{name})
	if err != nil || len(recs) != 1 {
		t.Fatalf("%s %q: %v %v", typ, name, recs, err)
	}
	return recs[0]
}

func (r *rig) registered(t *testing.T, ppid string) *biobank.Record {
	t.Helper()
	recs, err := r.reg.ByPPID(t.Context(), r.admin, []int64{1}, ppid)
	if err != nil || len(recs) != 1 {
		t.Fatalf("PPID %q: %v %v", ppid, recs, err)
	}
	return recs[0]
}

// Columns of custom fields stand behind the caption of their form, in files of participants, visits and specimens, alone
// or in one.
func TestCustomFieldsOfFiles(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.form("habits", "Habits", false, biobank.ParticipantFields)
		r.form("state", "State", false, biobank.VisitFields)
		r.form("quality", "Quality", false, biobank.SpecimenFields)
		inCP := map[string]string{"cpId": "1"}
		person := func() string {
			doc, err := biobank.Decode[biobank.RegistrationDoc](r.registered(t, "C-1"))
			if err != nil {
				t.Fatal(err)
			}
			return values(t, doc.Extension)
		}
		specimen := func(label string) string {
			doc, err := biobank.Decode[biobank.SpecimenDoc](r.found(t, biobank.Specimen, label))
			if err != nil {
				t.Fatal(err)
			}
			return values(t, doc.Extension)
		}
		visit := func() string {
			doc, err := biobank.Decode[biobank.VisitDoc](r.found(t, biobank.Visit, "C-1.v"))
			if err != nil {
				t.Fatal(err)
			}
			return values(t, doc.Extension)
		}
		done := func(j *jobs.Job, failed int64) {
			t.Helper()
			if j.Status != jobs.Completed && j.Status != jobs.Failed || j.FailedRows != failed {
				t.Errorf("%s, %d failed: %s\n%s", j.Status, j.FailedRows, j.Reason, r.outcome(j))
			}
		}
		j := r.upload(&jobs.Job{ObjectType: "cpr", ImportType: "CREATE", Params: inCP, DateFormat: "dd-MM-yyyy", TimeFormat: "HH:mm"}, lines(
			"PPID,Registration Date,Habits#Status Now,HABITS#packs,Habits#Quit On,Habits#Asked At,Habits#Brands#1,Habits#Brands#2,Habits#Tries#1#Year,Habits#Tries#1#How,Habits#Tries#2#Year,Habits#Tries#2#How,Habits#Nothing",
			"C-1,27-02-2026,current,2.50,24-02-2021,24-02-2021 13:05,red,Blue,2001,gum,2002,,x",
			"C-2,27-02-2026,,,,,,,,,,,",
			"C-3,27-02-2026,Sometimes,,,,,,,,,,",
			"C-4,27-02-2026,,1,,,,,,,,,",
			"C-5,27-02-2026,Never,,2021/02/24,,,,,,,,",
		))
		done(j, 3)
		if !strings.Contains(strings.Join(j.Warnings, " "), "Habits#Nothing") {
			t.Errorf("warnings: %q", j.Warnings)
		}
		want := `{"DD1":"Current","DT3":1614124800000,"DT4":1614171900000,"MS5":["Red","Blue"],"NU2":2.5,"SF7":[{"NU1":2001,"ST2":"gum"},{"NU1":2002}]}`
		if d := cmp.Diff(want, person()); d != "" {
			t.Errorf("participant (-want +got):\n%s", d)
		}
		done(r.upload(&jobs.Job{ObjectType: "cpr", ImportType: "UPDATE", Params: inCP}, lines(
			"PPID,Habits#Status Now,Habits#Packs,Habits#Brands#1,Habits#Tries#1#Year,Habits#Tries#1#How",
			"C-1,Never,,##set_to_blank##,##set_to_blank##,##set_to_blank##",
		)), 0)
		if d := cmp.Diff(`{"DD1":"Never","DT3":1614124800000,"DT4":1614171900000,"NU2":2.5}`, person()); d != "" {
			t.Errorf("participant, changed (-want +got):\n%s", d)
		}
		done(r.upload(&jobs.Job{ObjectType: "masterSpecimen", ImportType: "CREATE", Params: inCP, DateFormat: "dd-MM-yyyy", TimeFormat: "HH:mm"}, lines(
			"CP Short Title,PPID,Visit Name,Collection Site,Visit Status,Specimen Label,Type,Lineage,Quantity,Collection Date,Habits#Packs,State#Status Now,Quality#Status Now",
			"LAKE,C-1,C-1.v,Lakeside Biobank,Complete,C-1.s,Whole Blood,New,5,28-02-2026 09:30,7,Never,Current",
		)), 0)
		if p, v, s := person(), visit(), specimen("C-1.s"); !strings.Contains(p, `"NU2":7`) || v != `{"DD1":"Never"}` || s != `{"DD1":"Current"}` {
			t.Errorf("master row: %s %s %s", p, v, s)
		}
		done(r.upload(&jobs.Job{ObjectType: "specimen", ImportType: "UPDATE", Params: inCP}, lines("Specimen Label,Quality#Packs,Quality#Scan", "C-1.s,3,")), 0)
		done(r.upload(&jobs.Job{ObjectType: "specimen", ImportType: "UPDATE", Params: inCP}, lines("Specimen Label,Quality#Scan", "C-1.s,scan.pdf")), 1)
		done(r.upload(&jobs.Job{ObjectType: "visit", ImportType: "UPSERT", Params: inCP}, lines("CP Short Title,PPID,Name,State#Packs", "LAKE,C-1,C-1.v,4")), 0)
		if v, s := visit(), specimen("C-1.s"); v != `{"DD1":"Never","NU2":4}` || s != `{"DD1":"Current","NU2":3}` {
			t.Errorf("changed: %s %s", v, s)
		}
		j = r.upload(&jobs.Job{ObjectType: "specimen", ImportType: "UPDATE"}, lines("Specimen Label,Quality#Packs", "C-1.s,9"))
		if done(j, 0); !strings.Contains(strings.Join(j.Warnings, " "), "cpId") || specimen("C-1.s") != `{"DD1":"Current","NU2":3}` {
			t.Errorf("outside of a protocol: %q", j.Warnings)
		}
	})
}

// A form's records as rows: found by id or as the object's only one, deleted by their status.
func TestFormRecordsOfFiles(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		form := r.form("habits", "Habits", true, biobank.LevelParticipant, biobank.LevelSpecimen)
		r.form("alone", "Alone", false)
		r.mustImport("cpr_create_20260227120000000.csv", lines("CP Short Title,PPID,Registration Date", "LAKE,E-1,27-02-2026", "LAKE,E-2,27-02-2026"))
		records := func(ppid string) string {
			t.Helper()
			set, err := r.reg.FormRecords(t.Context(), r.admin, r.registered(t, ppid), biobank.LevelParticipant, form)
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, rec := range set.Records {
				doc, err := biobank.Decode[biobank.FormRecordDoc](rec)
				if err != nil {
					t.Fatal(err)
				}
				text, err := json.Marshal(doc.Values)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, fmt.Sprintf("%d %s%s", rec.ID, doc.Status, text))
			}
			return strings.Join(all, "; ")
		}
		run := func(op, content string, want ...string) {
			t.Helper()
			j := r.upload(&jobs.Job{ObjectType: "extensions", ImportType: op, Params: map[string]string{"formName": "habits", "entityType": "Participant"}}, content)
			report := r.object(j.Report)
			if j.FailedRows != int64(len(want)) {
				t.Errorf("%d rows failed, want %d: %s\n%s", j.FailedRows, len(want), j.Reason, report)
			}
			for _, code := range want {
				if !strings.Contains(report, code) {
					t.Errorf("no %s in\n%s", code, report)
				}
			}
		}
		const header = "Habits ID,Collection Protocol,PPID,Status,Activity Status,Status Now,Packs"
		run("CREATE", lines(header, ",LAKE,E-1,,,never,1", ",LAKE,E-1,,,Current,2", ",LAKE,E-2,draft,,,3", "7,LAKE,E-2,,,Never,", ",LAKE,E-9,,,Never,", ",LAKE,E-2,,,,4", ",LAKE,E-2,,,,"),
			"FORMS_REC_ID_SPECIFIED_FOR_CREATE", "CPR_M_NOT_FOUND", "FORMS_INVALID_DATA")
		if one, two := records("E-1"), records("E-2"); one != `1 {"DD1":"Never","NU2":1}; 2 {"DD1":"Current","NU2":2}` || two != `3 DRAFT{"NU2":3}` {
			t.Errorf("created: %s | %s", one, two)
		}
		run("UPDATE", lines(header, ",LAKE,E-1,,,Never,", "2,LAKE,E-1,,,,5", ",LAKE,E-2,COMPLETE,,Never,", "1,LAKE,E-2,,,Never,"), "FORMS_MULTI_RECS_ID_REQ", "FORMS_INVALID_REC_ID")
		if one, two := records("E-1"), records("E-2"); one != `1 {"DD1":"Never","NU2":1}; 2 {"DD1":"Current","NU2":5}` || two != `3 {"DD1":"Never","NU2":3}` {
			t.Errorf("updated: %s | %s", one, two)
		}
		run("UPSERT", lines(header, "1,LAKE,E-1,,Disabled,,", ",LAKE,E-2,,Disabled,,", ",LAKE,E-2,,,Current,"))
		if one, two := records("E-1"), records("E-2"); one != `2 {"DD1":"Current","NU2":5}` || !strings.HasSuffix(two, ` {"DD1":"Current"}`) {
			t.Errorf("deleted: %s | %s", one, two)
		}
		for want, params := range map[string]map[string]string{
			"FORMS_NAME_REQUIRED":        {"entityType": "Participant"},
			"FORMS_ENTITY_TYPE_REQUIRED": {"formName": "habits"},
			"FORMS_INVALID_FORM_CTXT":    {"formName": "habits", "entityType": "ParticipantExtension"},
			"FORMS_NOT_FOUND":            {"formName": "nothing", "entityType": "Participant"},
		} {
			if j := r.upload(&jobs.Job{ObjectType: "extensions", ImportType: "CREATE", Params: params}, lines(header, ",LAKE,E-1,,,Never,")); !strings.Contains(j.Reason, want) {
				t.Errorf("%v: %s %q, want %s", params, j.Status, j.Reason, want)
			}
		}
		j := r.upload(&jobs.Job{ObjectType: "extensions", ImportType: "CREATE", Params: map[string]string{"formName": "alone", "entityType": "Participant"}},
			lines("Collection Protocol,PPID,Status Now", "LAKE,E-1,Never"))
		if !strings.Contains(r.object(j.Report), "FORMS_NO_ASSOCIATION") {
			t.Errorf("without an association: %s", r.object(j.Report))
		}
		dropped := r.mustImport("extensions_Participant_habits_update_20260227120000001.csv", lines(header, ",LAKE,E-1,,,Never,"))
		if dropped.ObjectType != "extensions" || dropped.Params["formName"] != "habits" || dropped.Params["entityType"] != "Participant" {
			t.Errorf("dropped: %v", dropped)
		}
		if !strings.HasPrefix(records("E-1"), `2 {"DD1":"Never"`) {
			t.Errorf("dropped: %s", records("E-1"))
		}
	})
}

func TestTemplatesOfForms(t *testing.T) {
	r := newRig(t)
	r.form("habits", "Habits", true, biobank.LevelSpecimen, biobank.SpecimenFields)
	fields := []string{"Status Now", "Packs", "Quit On", "Asked At", "Brands#1", "Brands#2", "Tries#1#Year", "Tries#1#How", "Tries#2#Year", "Tries#2#How"}
	schema := func(objectType string, params map[string]string) *csvimport.Schema {
		s, err := csvimport.SchemaOf(t.Context(), r.reg, objectType, params)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	got := schema("extensions", map[string]string{"formName": "HABITS", "entityType": "Specimen"})
	want := append([]string{"Habits ID", "CP Short Title", "Specimen Label", "Barcode", "Status", "Activity Status"}, fields...)
	if d := cmp.Diff(want, got.Template()); d != "" || got.Label() != "Habits (Specimen)" {
		t.Errorf("%s (-want +got):\n%s", got.Label(), d)
	}
	plain := csvimport.SchemaFor("specimen").Template()
	if d := cmp.Diff(plain, schema("specimen", map[string]string{"cpId": "-1"}).Template()); d != "" {
		t.Errorf("of all protocols (-want +got):\n%s", d)
	}
	for i := range fields {
		fields[i] = "Habits#" + fields[i]
	}
	for _, objectType := range []string{"specimen", "masterSpecimen"} {
		want := slices.Concat(csvimport.SchemaFor(objectType).Template(), fields)
		if d := cmp.Diff(want, schema(objectType, map[string]string{"cpId": "1"}).Template()); d != "" {
			t.Errorf("%s (-want +got):\n%s", objectType, d)
		}
	}
	if s := schema("kitchen", nil); s != nil {
		t.Error("an unknown type has a schema")
	}
}
