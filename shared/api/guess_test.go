package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// A PPID or a visit name may be the number by which a hospital knows a patient: who has nothing to do with a protocol is
// answered alike whether there is one or not.
func TestNobodyLearnsNamesByGuessing(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	own := c.must("POST", "/collection-protocols", `{"shortTitle":"OWN","title":"Own","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],
		"manualPpidEnabled":true,"manualVisitNameEnabled":true}`)["id"]
	reg := c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%v,"ppid":"O-1","registrationDate":"2022-01-01","participant":{}}`, own))["id"]
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%v,"name":"V1","status":"Pending"}`, reg))["id"]
	outsider := w.newUser("outsider", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: int64(own.(float64))})
	for _, guess := range []struct{ method, path, body, right, wrong, code string }{
		{"POST", "/visits", fmt.Sprintf(`{"cpId":%d,"ppid":"%%s"}`, s.cp), "INV-1", "INV-9", "RBAC_ACCESS_DENIED"},
		{"POST", "/visits/collect", fmt.Sprintf(`{"visit":{"cpId":%d,"ppid":"%%s"},"specimens":[]}`, s.cp), "INV-1", "INV-9", "RBAC_ACCESS_DENIED"},
		{"PUT", fmt.Sprintf("/visits/%v", visit), fmt.Sprintf(`{"name":"V1","status":"Pending","cpId":%d,"ppid":"%%s"}`, s.cp), "INV-1", "INV-9", "RBAC_ACCESS_DENIED"},
		{"POST", "/specimens", `{"visitName":"%s","label":"X","type":"Plasma"}`, "INV-1.B.1", "INV-1.B.9", "VISIT_NOT_FOUND"},
		{"POST", "/specimens", `{"visitName":"%s","label":"X","reqCode":"BL"}`, "INV-1.B.1", "INV-1.B.9", "VISIT_NOT_FOUND"},
		{"POST", "/specimens", `{"parentLabel":"%s","lineage":"Aliquot","label":"X","initialQty":1}`, "INV-1-S", "INV-9-S", "SPECIMEN_NOT_FOUND"},
	} {
		right, wrong := fmt.Sprintf(guess.body, guess.right), fmt.Sprintf(guess.body, guess.wrong)
		a, b := outsider.do(guess.method, guess.path, right), outsider.do(guess.method, guess.path, wrong)
		a.refused(t, 400, guess.code)
		if strings.ReplaceAll(a.body, guess.right, guess.wrong) != b.body {
			t.Errorf("%s %s tells %s from %s", guess.path, right, a.body, b.body)
		}
	}

	// Titles, and what is kept for whom.
	_, box := w.newFreezer(c)
	c.must("POST", "/distribution-protocols", `{"title":"Receivers","shortTitle":"DP","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
	c.must("PATCH", fmt.Sprintf("/storage-containers/%d", box), `{"allowedDistributionProtocols":["DP"]}`)
	stranger := w.newUser("stranger", "NONE")
	for _, guess := range []struct{ method, path, body, right, wrong, code string }{
		{"GET", "/storage-containers?cpShortTitle=%s", "", "INV", "NO", "CP_NOT_FOUND"},
		{"GET", "/storage-containers?dpShortTitle=%s", "", "DP", "NO", "DP_NOT_FOUND"},
		{"GET", "/storage-containers/count?dpShortTitle=%s", "", "DP", "NO", "DP_NOT_FOUND"},
		{"POST", "/specimens/search", `{"cpShortTitle":"%s"}`, "INV", "NO", "CP_NOT_FOUND"},
		{"PUT", fmt.Sprintf("/specimens/%d", s.specimen), `{"cpShortTitle":"%s"}`, "INV", "OWN", "RBAC_ACCESS_DENIED"},
		{"POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"cpShortTitle":"%%s","label":"X","type":"Plasma"}`, s.visit), "INV", "OWN", "RBAC_ACCESS_DENIED"},
	} {
		ask := func(title string) answer {
			return stranger.do(guess.method, strings.Replace(guess.path, "%s", title, 1), strings.Replace(guess.body, "%s", title, 1))
		}
		a, b := ask(guess.right), ask(guess.wrong)
		a.refused(t, 400, guess.code)
		if strings.ReplaceAll(a.body, ";"+guess.right+`\u`, ";"+guess.wrong+`\u`) != b.body {
			t.Errorf("%s %s tells %s from %s", guess.path, guess.body, a.body, b.body)
		}
	}
	for title, status := range map[string]int{"INV": 400, "OWN": 400, "NO": 400} {
		if a := stranger.do("HEAD", "/specimens?label=INV-1-S&cpShortTitle="+title, ""); a.status != status {
			t.Errorf("the label is told to be in %s: %d", title, a.status)
		}
	}
	if a := c.do("HEAD", "/specimens?label=INV-1-S&cpShortTitle=INV", ""); a.status != 200 {
		t.Errorf("the label is not told to be in INV: %d", a.status)
	}

	// Rows of files are guesses, too.
	actor, err := w.registry.Actor(t.Context(), int64(c.list("GET", "/users?loginName=outsider", "")[0]["id"].(float64)))
	if err != nil {
		t.Fatal(err)
	}
	cp := biobank.ProtocolRef{ID: s.cp}
	row := func(op biobank.Op, d biobank.Draft) string {
		t.Helper()
		out, err := w.registry.Apply(t.Context(), actor, w.clock(), []biobank.Change{{Op: op, Draft: d, ID: "guess"}})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(out[0].Err)
	}
	for name, of := range map[string]func(ppid, visit string) (biobank.Op, biobank.Draft){
		"participant": func(ppid, _ string) (biobank.Op, biobank.Draft) {
			return biobank.Update, &biobank.RegistrationDraft{Protocol: cp, Doc: biobank.RegistrationDoc{PPID: ppid}, Merge: func(*biobank.RegistrationDoc) {}}
		},
		"visit": func(_, visit string) (biobank.Op, biobank.Draft) {
			return biobank.Update, &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: visit}, Merge: func(*biobank.VisitDoc) {}}
		},
		"master": func(ppid, visit string) (biobank.Op, biobank.Draft) {
			return biobank.Create, &biobank.MasterDraft{
				Registration: biobank.RegistrationDraft{Protocol: cp, Doc: biobank.RegistrationDoc{PPID: ppid}, Merge: func(*biobank.RegistrationDoc) {}},
				Visit:        biobank.VisitDraft{Protocol: cp, PPID: ppid, Doc: biobank.VisitDoc{Name: visit}, Merge: func(*biobank.VisitDoc) {}},
				Specimen: biobank.SpecimenDraft{Protocol: cp, VisitName: visit, Merge: func(*biobank.SpecimenDoc) {}, Doc: biobank.SpecimenDoc{
					Label: "X", Type: "Plasma", Collection: &biobank.CollectionEvent{Time: 1614171600000},
				}},
			}
		},
	} {
		right, wrong := row(of("INV-1", "INV-1.B.1")), row(of("INV-9", "INV-1.B.9"))
		if strings.ReplaceAll(right, "INV-1.B.1", "INV-1.B.9") != wrong {
			t.Errorf("%s: %s is told from %s", name, right, wrong)
		}
	}
}
