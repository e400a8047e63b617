package e2e_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/odm"
)

// others is a document of a folder of ODM documents that are not the project's own.
func others(t *testing.T, path ...string) string {
	t.Helper()
	dir := os.Getenv("ALIQUOT_ODM_DATA")
	if dir == "" {
		t.Skip("not run: ALIQUOT_ODM_DATA does not name a folder of ODM documents")
	}
	text, err := os.ReadFile(filepath.Join(append([]string{dir}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// outcome is how many rows of a log there are by what they tell.
type outcome map[string]int

// TestDocumentsOfOthers imports studies of other systems, twice. What must come of them was counted from the documents
// alone (reference openclinica-clinicaldata.md, 11.3).
func TestDocumentsOfOthers(t *testing.T) {
	juno, optimal := others(t, "openclinica", "juno-demo-full-extract.xml"), others(t, "openclinica", "optimal-full-extract.xml")
	virus := others(t, "odm132", "odmlib-snapshot.xml")
	edc, edcData := others(t, "odm132", "openedc-metadata.xml"), others(t, "odm132", "openedc-clinicaldata.xml")
	stack := newClinic(t, map[string]string{"OdmPartRows": "500"})
	for _, study := range []struct {
		name, oid, metadata, data string
		schedule                  bool
		first, again              outcome
	}{
		{
			name: "extract", oid: "S_THEJUNOD", metadata: juno, data: juno,
			first: outcome{"Inserted": 3757, "Failed errorCode.formMissingStudyEventConstruct": 18, "Failed errorCode.formStatusNotValid": 7},
			again: outcome{"No Change": 3757, "Failed errorCode.formMissingStudyEventConstruct": 18, "Failed errorCode.formStatusNotValid": 7},
		},
		{
			name: "extract of two sites", oid: "S_OPTIMAL", metadata: optimal, data: optimal,
			first: outcome{"Inserted": 240}, again: outcome{"No Change": 240},
		},
		{
			name: "without dates", oid: "1001_virus", metadata: virus, data: virus,
			first: outcome{"Failed errorCode.missingStartDate": 8}, again: outcome{"Failed errorCode.missingStartDate": 8},
		},
		{
			name: "of scheduled events", oid: "1001_virus", data: virus, schedule: true,
			first: outcome{"Inserted": 165, "Failed errorCode.itemGroupDoesNotContainItemData": 5},
			again: outcome{"No Change": 165, "Failed errorCode.itemGroupDoesNotContainItemData": 5},
		},
		{
			name: "with keys alone", oid: "S.1", metadata: edc, data: edcData,
			first: outcome{
				"Inserted": 829, "Failed errorCode.valueTypeMismatch": 236, "Failed errorCode.formMissingStudyEventConstruct": 124,
				"Failed errorCode.itemGroupDoesNotContainItemData": 21, "Failed errorCode.formDoesNotContainItemGroupData": 14,
				"Failed errorCode.eventDoesNotContainFormData": 7,
			},
			again: outcome{ // an event that repeats has no keys: each time it is another one (3.4)
				"No Change": 772, "Inserted": 57, "Failed errorCode.valueTypeMismatch": 236, "Failed errorCode.formMissingStudyEventConstruct": 124,
				"Failed errorCode.itemGroupDoesNotContainItemData": 21, "Failed errorCode.formDoesNotContainItemGroupData": 14,
				"Failed errorCode.eventDoesNotContainFormData": 7,
			},
		},
	} {
		t.Run(study.name, func(t *testing.T) {
			c := &clinic{T: t, stack: stack.stack, token: stack.token}
			if study.metadata != "" {
				c.ask("PUT", auth4+"/studies/"+study.oid, "application/json", `{}`, 200)
				c.ask("PUT", auth4+"/studies/"+study.oid+"/metadata", "application/xml", study.metadata, 200)
			}
			c.prepare(study.oid, study.data, study.metadata != "", study.schedule)
			if d := cmp.Diff(study.first, c.outcome(study.data)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := cmp.Diff(study.again, c.outcome(study.data)); d != "" {
				t.Errorf("again (-want +got):\n%s", d)
			}
		})
	}
}

// prepare makes the participants of a document, and their events.
func (c *clinic) prepare(study, doc string, people, events bool) {
	c.Helper()
	post := func(site, what string, body any) {
		path := auth4 + "/clinicaldata/studies/" + study
		if site != study {
			path += "/sites/" + site
		}
		c.ask("POST", path+"/"+what, "application/json", fmt.Sprintf("%s", body), 200)
	}
	var site, label string
	for r := odm.NewReader(strings.NewReader(doc)); ; {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			c.Fatal(err)
		}
		switch v := part.(type) {
		case *odm.ClinicalData:
			site = v.StudyOID
		case *odm.SubjectData:
			if label = v.StudySubjectID; label == "" {
				label = v.SubjectKey
			}
			if people {
				post(site, "participants", fmt.Sprintf(`{"subjectKey":%q,"subjectOid":%q}`, label, v.SubjectKey))
			}
		case *odm.StudyEventData:
			if events {
				post(site, "events", fmt.Sprintf(`{"subjectKey":%q,"studyEventOID":%q,"startDate":"2026-03-01"}`, label, v.StudyEventOID))
			}
		}
	}
}

// outcome imports a document and counts the rows of its log.
func (c *clinic) outcome(doc string) outcome {
	c.Helper()
	rows := csv.NewReader(strings.NewReader(c.log(c.send(doc, nil))))
	head, err := rows.Read()
	if err != nil {
		c.Fatal(err)
	}
	got := outcome{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			c.Fatal(err)
		}
		cells := map[string]string{}
		for i, name := range head {
			cells[name] = row[i]
		}
		got[strings.TrimSpace(cells["Status"]+" "+cells["Message"])]++
	}
}

// TestWorkedExample takes the worked example of the reference through: its definition, an import, a query, a correction,
// and what comes out. Moments, ids and who did it are not compared.
func TestWorkedExample(t *testing.T) {
	worked := func(name string) string { return others(t, "worked", name) }
	definition, first := worked("study-metadata.xml"), worked("import.xml")
	const json, sex = "application/json", `ItemOID="I_VS_SEX" Value=`
	c := newClinic(t, nil)
	c.ask("PUT", auth4+"/studies/S_ALQ", json, `{"name":"Aliquot Demo","uniqueProtocolId":"ALQ"}`, 200)
	c.ask("PUT", auth4+"/studies/S_ALQ/metadata", "application/xml", definition, 200)
	c.ask("POST", auth4+"/clinicaldata/studies/S_ALQ/participants", json, `{"subjectKey":"ALQ-001"}`, 200)
	c.be("dm1", "Dee", "Em", "S_ALQ", "Data Manager")
	equal := func(name, want, got string) {
		t.Helper()
		if d := cmp.Diff(masked(want), masked(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}

	equal("import-log.csv", worked("import-log.csv"), c.log(c.send(strings.ReplaceAll(first, sex+`"F"`, sex+`"M"`), nil)))
	const item = `"subjectKey":"ALQ-001","studyEventOID":"SE_BASE","formOID":"F_VS","itemGroupOID":"IG_VS_MAIN","itemOID":"I_VS_SEX"`
	const notes = auth4 + "/clinicaldata/studies/S_ALQ/notes"
	c.ask("POST", notes, json, `{`+item+`,"noteType":"Query","detailedNote":"Please confirm","assignedTo":"dm1"}`, 200)
	c.ask("PUT", notes+"/DN_1", json, `{`+item+`,"status":"Updated","detailedNote":"Corrected from source"}`, 200)
	before, _, _ := strings.Cut(first, `<ItemData ItemOID="I_VS_WT"`)
	c.log(c.send(before+`</ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`, nil))

	const all = auth4 + "/clinicaldata/S_ALQ/*/*/*?includeMetadata=y&includeAudits=y&includeDNs=y"
	equal("retrieve.xml", worked("retrieve.xml"), c.ask("GET", all, "application/xml", "", 200))
	equal("retrieve.json", worked("retrieve.json"), c.ask("GET", all+"&legacyNamespaceKeys=y", json, "", 200))

	// Sent again, what has keys is as it was; repeats without are new ones.
	want := masked(worked("import-log.csv"))
	for _, item := range []string{"I_VS_SEX", "I_VS_WT", "I_VS_DAT", "I_VS_RACE"} {
		want = strings.Replace(want, item+",Inserted,<then>", item+",No Change,", 1)
	}
	want = strings.NewReplacer("IG_VS_BP,2,", "IG_VS_BP,3,", "IG_VS_BP,1,", "IG_VS_BP,2,", "SE_AE,1,", "SE_AE,2,").Replace(want)
	equal("second import-log.csv", want, c.log(c.send(first, nil)))
}

var (
	ids  = regexp.MustCompile(`\b(AL|USR|C?DN)_\d+`)
	made = regexp.MustCompile(`<Organization>[^<]*|("Organization": )"[^"]*"`)
)

// masked is a text without moments, ids and institutes.
func masked(doc string) string {
	return made.ReplaceAllString(ids.ReplaceAllString(clock.ReplaceAllString(doc, "<then>"), "${1}_n"), "<organization>")
}
