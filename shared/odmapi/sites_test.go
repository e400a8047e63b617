package odmapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
	"aliquot/shared/odm"
	"aliquot/shared/odmimport"
)

// rows plans what a job imports, and gives the rows in short.
func (w *world) rows(j *jobs.Job, doc string) (out []string) {
	w.t.Helper()
	p, err := (&odmimport.Planners{Studies: w.api.Registry, Users: w.users, Now: w.clock}).Make(w.t.Context(), j)
	if err != nil {
		w.t.Fatal(err)
	}
	p.Attached = came{"scan.pdf": true}
	for in := odm.NewReader(strings.NewReader(doc)); ; {
		part, err := in.Next()
		if err != nil {
			break // the document has ended
		}
		if err := p.Take(w.t.Context(), part); err != nil {
			w.t.Fatal(err)
		}
	}
	plan, err := p.Cut()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range plan.Rows {
		out = append(out, r.ParticipantID+" "+r.Status+" "+strings.TrimPrefix(r.Message, "errorCode."))
	}
	if err := clinical.Apply(w.t.Context(), w.api.Registry.Store, plan); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// came are files that came along, by name.
type came map[string]bool

func (c came) Key(name string) string {
	if !c[name] {
		return ""
	}
	return "attached/" + name
}

func (c came) Keep(context.Context, string) (bool, error) { return true, nil }

// pulse is a document with a value of a participant, by the OID of a study or a site.
func pulse(oid, label string) string {
	return fmt.Sprintf(`<ClinicalData StudyOID=%q><SubjectData OpenClinica:StudySubjectID=%q><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-02-01"><FormData FormOID="F_VITALS">`+
		`<ItemGroupData ItemGroupOID="IG_VITALS"><ItemData ItemOID="I_PULSE" Value="61"/></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData>`, oid, label)
}

// What a role allows, and whether data are taken, is that of the participant's own site, by whatever OID the request comes.
func TestParticipantsOwnSite(t *testing.T) {
	w := newWorld(t)
	w.river()
	for site, label := range map[string]string{"S_MOUTH": "Down", "S_SPRING": "Up"} {
		w.fallback.must("POST", "/clinicaldata/studies/S_RIVER/sites/"+site+"/participants", `{"subjectKey":"`+label+`"}`)
	}
	w.fallback.must("POST", "/clinicaldata/studies/S_RIVER/participants", `{"subjectKey":"Own"}`)
	all := func(first string) string {
		return "<ODM>" + `<ClinicalData StudyOID="` + first + `"/>` + pulse("S_RIVER", "Down") + pulse("S_RIVER", "Up") + pulse("S_RIVER", "Own") + pulse("S_MOUTH", "Down") + "</ODM>"
	}
	take := func(c caller, first string) []string {
		t.Helper()
		return w.rows(w.job(c.do("POST", "/clinicaldata/import", all(first), "Content-Type: application/xml")), all(first))
	}
	same := func(name string, got, want []string) {
		t.Helper()
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%s: rows %q, want %q", name, got, want)
		}
	}

	viewer := w.newUser("viewer-and-coordinator")
	w.grant("S_RIVER", "viewer-and-coordinator", "Viewer")
	w.grant("S_SPRING", "viewer-and-coordinator", "Clinical Research Coordinator")
	same("a viewer of the study who coordinates one site", take(viewer, "S_SPRING"), []string{
		"Down Failed participantNotFound", "Up Inserted ", "Own Failed participantNotFound", "Down Failed participantNotFound",
	})
	manager := w.newUser("manager-and-viewer")
	w.grant("S_RIVER", "manager-and-viewer", "Data Manager")
	w.grant("S_MOUTH", "manager-and-viewer", "Viewer")
	same("a data manager who views one site", take(manager, "S_RIVER"), []string{
		"Down Failed participantNotFound", "Up No Change ", "Own Inserted ", "Down Failed participantNotFound",
	})
	const events = "/clinicaldata/studies/S_RIVER/events"
	event := func(label string) string {
		return `{"subjectKey":"` + label + `","studyEventOID":"SE_AGAIN","startDate":"2026-02-03"}`
	}
	manager.do("POST", events, event("Down")).refused(t, 403, "errorCode.noSufficientPrivileges")
	manager.must("POST", events, event("Up"))

	w.fallback.must("PUT", "/studies/S_MOUTH/status", `{"status":"Locked"}`)
	same("a locked site", take(w.fallback, "S_RIVER"), []string{
		"Down Failed siteNotAvailable", "Up No Change ", "Own No Change ", "Down Failed siteNotAvailable",
	})
	w.fallback.do("POST", "/clinicaldata/studies/S_RIVER/sites/S_MOUTH/events", event("Down")).refused(t, 400, "errorCode.siteNotAvailable")
	w.fallback.do("POST", events, event("Down")).refused(t, 400, "errorCode.siteNotAvailable")
	w.fallback.do("PUT", events, event("Down")).refused(t, 400, "errorCode.siteNotAvailable")
	w.fallback.must("POST", events, event("Own"))
}

// Authors and assignees of notes have a role in the study or at one of its sites, whichever site a document begins with.
func TestAuthorsOfSeveralSites(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.newUser("stray")
	w.newUser("upstream")
	w.grant("S_SPRING", "upstream", "Clinical Research Coordinator")
	for site, label := range map[string]string{"S_MOUTH": "Down", "S_SPRING": "Up"} {
		w.fallback.must("POST", "/clinicaldata/studies/S_RIVER/sites/"+site+"/participants", `{"subjectKey":"`+label+`"}`)
	}
	for _, tt := range []struct{ login, want string }{
		{"upstream", "Down Inserted ,Up Inserted ,Up Inserted "},
		{"stray", "Down No Change ,Up No Change ,Up Failed Q-stray-A:errorCode.userNotValid,Up Failed Q-stray-A:errorCode.assignedUserNotValid"},
	} {
		asked := strings.Replace(pulse("S_SPRING", "Up"), `"61"/>`, fmt.Sprintf(`"61"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="Q-%[1]s" NoteType="Query">`+
			`<OpenClinica:ChildNote ID="Q-%[1]s-A" Status="New" UserName=%[1]q><OpenClinica:DetailedNote>So slow?</OpenClinica:DetailedNote><UserRef OpenClinica:UserName=%[1]q/></OpenClinica:ChildNote>`+
			`</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`, tt.login), 1)
		doc := "<ODM>" + pulse("S_MOUTH", "Down") + asked + "</ODM>"
		got := w.rows(w.job(w.fallback.do("POST", "/clinicaldata/import", doc, "Content-Type: application/xml")), doc)
		if strings.Join(got, ",") != tt.want {
			t.Errorf("notes by %s: %q, want %q", tt.login, got, tt.want)
		}
	}
}

// Which files a participant has is told to nobody who does not see the participant.
func TestFilesOfOthers(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.fallback.must("POST", "/clinicaldata/studies/S_RIVER/sites/S_MOUTH/participants", `{"subjectKey":"Down"}`)
	doc := func(oid, value string) string {
		return "<ODM>" + strings.NewReplacer("I_PULSE", "I_SCAN", "IG_VITALS", "IG_SCAN", "F_VITALS", "F_SCAN", "61", value).Replace(pulse(oid, "Down")) + "</ODM>"
	}
	body, header := form(part{"attachedFilesZip", "x.zip", zipped(t, "scan.pdf")}, part{"file", "a.xml", doc("S_RIVER", "scan.pdf")})
	w.rows(w.job(w.fallback.do("POST", "/clinicaldata/import", body, header)), doc("S_RIVER", "scan.pdf"))
	c := w.newUser("upstream")
	w.grant("S_SPRING", "upstream", "Clinical Research Coordinator")
	w.job(w.fallback.do("POST", "/clinicaldata/import", doc("S_RIVER", "scan.pdf"), "Content-Type: application/xml"))
	for _, by := range []string{`OpenClinica:StudySubjectID="Down"`, `SubjectKey="SS_DOWN"`} {
		for _, name := range []string{"scan.pdf", "other.pdf"} {
			asked := strings.ReplaceAll(doc("S_SPRING", name), `OpenClinica:StudySubjectID="Down"`, by)
			c.do("POST", "/clinicaldata/import", asked, "Content-Type: application/xml").refused(t, 400, "errorCode.missingItemFile."+name)
		}
	}
}
