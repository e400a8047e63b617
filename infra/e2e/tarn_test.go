package e2e_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/store"
)

// TestTarn takes an invented study through: its definition, an import with an attached file of which some is refused, a
// query that is answered, a correction. Logs and what comes out, with metadata, audits and notes, are golden, but for
// moments. ALIQUOT_GOLDEN=write writes them.
func TestTarn(t *testing.T) {
	c := newClinic(t, nil)
	const json = "application/json"
	c.ask("PUT", auth4+"/studies/S_TARN", json, `{"name":"Tarn","uniqueProtocolId":"TARN"}`, 200)
	c.ask("PUT", auth4+"/studies/S_TARN_HUT", json, `{"parent":"S_TARN","name":"Hut"}`, 200)
	c.ask("PUT", auth4+"/studies/S_TARN/metadata", "application/xml", read(t, "metadata.xml"), 200)
	c.ask("POST", auth4+"/clinicaldata/studies/S_TARN/participants", json, `{"subjectKey":"T-1"}`, 200)
	c.ask("POST", auth4+"/clinicaldata/studies/S_TARN/sites/S_TARN_HUT/participants", json, `{"subjectKey":"T-2"}`, 200)
	c.be("ida", "Ida", "Invented", "S_TARN", "Data Manager")

	golden(t, "import-log.csv", c.log(c.send(read(t, "import.xml"), map[string]string{"papers/consent.pdf": "a consent"})))
	const item = `"subjectKey":"T-1","studyEventOID":"SE_ASCENT","formOID":"F_SLEEP","itemGroupOID":"IG_SLEEP","itemOID":"I_TENT"`
	const notes = auth4 + "/clinicaldata/studies/S_TARN/notes"
	c.ask("POST", notes, json, `{`+item+`,"noteType":"Query","detailedNote":"Blue, really?","assignedTo":"ida"}`, 200)
	c.ask("PUT", notes+"/DN_1", json, `{`+item+`,"status":"Updated","detailedNote":"Red, says the map"}`, 200)
	golden(t, "correction-log.csv", c.log(c.send(read(t, "correction.xml"), nil)))

	const all = auth4 + "/clinicaldata/S_TARN/*/*/*?includeMetadata=y&includeAudits=y&includeDNs=y"
	asXML := c.ask("GET", all, "application/xml", "", 200)
	golden(t, "retrieve.xml", asXML)
	golden(t, "retrieve.json", c.ask("GET", all, json, "", 200))
	c.unchanged(asXML)
}

// be makes a user with a role, who sends what is sent from now on.
func (c *clinic) be(login, first, last, oid, role string) {
	c.Helper()
	db := store.NewClient(c.stack.AWSConfig())
	tables := store.Tables{Records: c.stack.Tables["records"], Audit: c.stack.Tables["audit"], Sessions: c.stack.Tables["sessions"]}
	users := &biobank.Registry{Store: store.NewRecords(db, tables)}
	rec, err := users.UserByLogin(c.Context(), biobank.Domain, "admin")
	if err != nil {
		c.Fatal(err)
	}
	admin, err := users.Actor(c.Context(), rec.ID)
	if err != nil {
		c.Fatal(err)
	}
	draft := &biobank.UserDraft{Institute: "Default Institute", Doc: biobank.UserDoc{
		FirstName: first, LastName: last, EmailAddress: login + "@example.org", LoginName: login, DomainName: biobank.Domain,
	}}
	made, err := users.Apply(c.Context(), admin, time.Now(), []biobank.Change{{Op: biobank.Create, Draft: draft, ID: "make-" + login}})
	if err != nil || made[0].Err != nil {
		c.Fatal(err, made)
	}
	const password = "Invented-1"
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Random: rand.Reader}
	if err := guard.SetPassword(c.Context(), made[0].Record.ID, login, password); err != nil {
		c.Fatal(err)
	}
	c.ask("PUT", auth4+"/studies/"+oid+"/users/"+login, "application/json", fmt.Sprintf(`{"role":%q}`, role), 200)
	c.token = ""
	c.token = c.ask("POST", "/user-service/api/oauth/token", "application/json", fmt.Sprintf(`{"username":%q,"password":%q}`, login, password), 200)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "tarn", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// clock are the moments of a run, in XML and CSV, in JSON, and in a FileOID.
var clock = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}Z|\+00:00)?|\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d|MetaD\d{14}\+0000`)

// golden compares an answer, without its moments, with a file of testdata/tarn.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = clock.ReplaceAllString(got, "<then>")
	if os.Getenv("ALIQUOT_GOLDEN") == "write" {
		if err := os.WriteFile(filepath.Join("testdata", "tarn", name), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(read(t, name), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}
