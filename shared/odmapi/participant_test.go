package odmapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
)

const (
	atRiver  = "/clinicaldata/studies/S_RIVER/participants"
	atSpring = "/clinicaldata/studies/S_RIVER/sites/S_SPRING/participants"
	atMouth  = "/clinicaldata/studies/S_RIVER/sites/S_MOUTH/participants"
)

func TestParticipants(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.fallback
	c.do("POST", atSpring, `{"subjectKey":"riv-001","firstName":"Invented-First","lastName":"Invented-Last","email":"x@example.org","phone":"123"}`).
		is(t, 200, `{"subjectKey":"riv-001","subjectOid":"SS_RIV001","status":"Available","participateStatus":""}`)
	refusal := func(code, site string) string {
		return fmt.Sprintf(`{"message":"errorCode.%s","params":{"siteOid":%q,"studyOid":"S_RIVER"}}`, code, site)
	}
	c.do("POST", atSpring, `{"subjectKey":" riv-001 "}`).is(t, 400, refusal("participantIDAlreadyExists", "S_SPRING"))
	for name, tt := range map[string]struct{ body, code string }{
		"no id":             {`{}`, "missingParticipantID"},
		"a blank id":        {`{"subjectKey":"  "}`, "missingParticipantID"},
		"a long id":         {`{"subjectKey":"` + strings.Repeat("x", 31) + `"}`, "participantIdTooLong"},
		"a line in an id":   {`{"subjectKey":"a\nb"}`, "participantIDNotValid"},
		"a slash in an OID": {`{"subjectKey":"n","subjectOid":"SS/1"}`, "participantOIDNotValid"},
		"a long OID":        {`{"subjectKey":"n","subjectOid":"` + strings.Repeat("x", 129) + `"}`, "participantOIDNotValid"},
		"an OID of another": {`{"subjectKey":"n","subjectOid":"ss_riv001"}`, "participantOIDAlreadyExists"},
		"a long name":       {`{"subjectKey":"n","firstName":"` + strings.Repeat("x", 36) + `"}`, "firstNameTooLong"},
		"a long surname":    {`{"subjectKey":"n","lastName":"` + strings.Repeat("x", 36) + `"}`, "lastNameTooLong"},
		"a long address":    {`{"subjectKey":"n","emailAddress":"` + strings.Repeat("x", 256) + `"}`, "emailAddressTooLong"},
		"a long number":     {`{"subjectKey":"n","phoneNumber":"` + strings.Repeat("1", 31) + `"}`, "phoneTooLong"},
	} {
		t.Run(name, func(t *testing.T) { c.do("POST", atSpring, tt.body).is(t, 400, refusal(tt.code, "S_SPRING")) })
	}
	c.do("POST", atSpring+"?register=y", `{"subjectKey":"n"}`).is(t, 400, refusal("participateInActive", "S_SPRING"))
	c.do("POST", atSpring, `{"subjectKey":3}`).refused(t, 400, "COMMON_INVALID_INPUT")
	c.do("POST", "/clinicaldata/studies/S_NONE/participants", `{}`).refused(t, 404, "errorCode.studyOIDNotFound")
	c.do("POST", "/clinicaldata/studies/S_SPRING/participants", `{}`).refused(t, 404, "errorCode.studyOIDNotFound")
	c.do("POST", "/clinicaldata/studies/S_RIVER/sites/S_RIVER/participants", `{}`).refused(t, 404, "errorCode.siteNotExist")

	// The same id at another site is another person, whose OID has an end of its own.
	var other struct{ SubjectOid string }
	if err := json.Unmarshal([]byte(c.do("POST", atMouth, `{"subjectKey":"riv-001"}`).body), &other); err != nil ||
		!strings.HasPrefix(other.SubjectOid, "SS_RIV001_") || len(other.SubjectOid) != len("SS_RIV001_0000") {
		t.Errorf("the second of one id is %+v, %v", other, err)
	}
	// Thirty characters that are not of ASCII leave nothing for an OID but its end.
	var odd struct{ SubjectKey, SubjectOid string }
	if err := json.Unmarshal([]byte(c.do("POST", atRiver, `{"subjectKey":"`+strings.Repeat("ü", 30)+`"}`).body), &odd); err != nil ||
		!strings.HasPrefix(odd.SubjectOid, "SS_") || len(odd.SubjectOid) != len("SS_0000") {
		t.Errorf("an id without letters of ASCII gives %+v, %v", odd, err)
	}
	c.do("GET", atSpring, "").is(t, 200, `{"studyParticipants":[{"subjectKey":"riv-001","subjectOid":"SS_RIV001","status":"Available",`+
		`"createdBy":"admin","createdAt":"2026-03-01T12:00:00.000Z"}],"siteID":"SPRING","siteName":"Spring","siteOID":"S_SPRING"}`)

	var all struct {
		StudyParticipants []struct{ SubjectKey, SubjectOid string }
		SiteOID           string
	}
	list := func(query string) {
		t.Helper()
		all.StudyParticipants = nil
		a := c.do("GET", atRiver+query, "")
		if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 || all.SiteOID != "S_RIVER" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if strings.Contains(a.body, "Invented") || strings.Contains(a.body, "example.org") {
			t.Errorf("contact data are shown: %s", a.body)
		}
	}
	list("")
	if len(all.StudyParticipants) != 3 || all.StudyParticipants[0].SubjectOid != "SS_RIV001" || all.StudyParticipants[2].SubjectKey != odd.SubjectKey {
		t.Errorf("listed %+v", all.StudyParticipants)
	}
	list("?maxResults=1&after=ss_riv001")
	if len(all.StudyParticipants) != 1 || all.StudyParticipants[0].SubjectOid != other.SubjectOid {
		t.Errorf("the second page is %+v", all.StudyParticipants)
	}
	for _, query := range []string{"?maxResults=0", "?maxResults=x", "?maxResults=1001"} {
		c.do("GET", atRiver+query, "").refused(t, 400, "COMMON_INVALID_INPUT")
	}
	c.do("GET", atRiver+"?after=SS_NONE", "").is(t, 400, refusal("participantNotFound", ""))
	// One that comes from another system keeps its OID.
	c.do("POST", atMouth, `{"subjectKey":"7","subjectOid":" 07 "}`).is(t, 200, `{"subjectKey":"7","subjectOid":"07","status":"Available","participateStatus":""}`)
	c.do("PUT", atMouth, `{"subjectKey":"7","subjectOid":"08"}`).refused(t, 400, "errorCode.participantIdentiersMismatch")

	c.must("PUT", "/studies/S_SPRING/status", `{"status":"Frozen"}`)
	c.do("POST", atSpring, `{"subjectKey":"n"}`).is(t, 400, refusal("siteNotAvailable", "S_SPRING"))
	c.must("PUT", "/studies/S_RIVER/status", `{"status":"Locked"}`)
	c.do("POST", atMouth, `{"subjectKey":"n"}`).is(t, 400, refusal("studyOIDNotAvailable", "S_MOUTH"))
	if log := w.logged(); strings.Contains(log, "Invented-First") || strings.Contains(log, "riv-001") {
		t.Error("the log holds values of a participant")
	}
}

// pages is a store that knows how many records were asked for at once.
type pages struct {
	biobank.Store
	most int
}

func (p *pages) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	p.most = max(p.most, len(keys))
	return p.Store.Records(ctx, keys, strong)
}

// All participants of a study are read by pages, and go where there is room for them.
func TestManyParticipants(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	w.river()
	p, err := w.api.Registry.Place(t.Context(), "S_RIVER")
	if err != nil {
		t.Fatal(err)
	}
	const many = 1100
	read := &pages{Store: w.api.Registry.Store}
	w.api.Registry.Store = read
	// They are long, so that they are over 4 MB, which a participant that is added cannot be.
	long := strings.Repeat("x", 4000)
	var writes []biobank.Write
	for id := int64(1); id <= many; id++ {
		s := clinical.Subject{OID: fmt.Sprint("SS_", id), Label: long + fmt.Sprint(id), Study: p.Study.ID, Site: p.Site.ID}
		for _, one := range []struct {
			key biobank.Key
			doc any
		}{
			{clinical.SubjectKey(id), s},
			{clinical.ListKey(p.Study.ID, id), clinical.Listed{OID: s.OID, Label: s.Label, Site: s.Site, ID: id}},
		} {
			doc, err := json.Marshal(one.doc)
			if err != nil {
				t.Fatal(err)
			}
			writes = append(writes, biobank.Write{Kind: biobank.InsertRecord, Record: &biobank.Record{
				Key: one.key, Type: clinical.SubjectType, ID: id, Version: 1, CreatedBy: w.adminID(), CreatedAt: w.clock().UnixMilli(), Doc: doc,
			}})
		}
		writes = append(writes, biobank.Write{Kind: biobank.InsertMark, Mark: biobank.Mark{
			Name: clinical.SubjectMark(p.Study.ID, s.OID), To: clinical.SubjectKey(id), ID: id,
		}})
	}
	for some := range slices.Chunk(writes, biobank.MaxBatch) {
		if _, err := read.Write(t.Context(), false, some); err != nil {
			t.Fatal(err)
		}
	}

	a := w.fallback.do("GET", atRiver, "")
	if a.status != 303 {
		t.Fatalf("%d %.300s", a.status, a.body)
	}
	var all struct {
		StudyParticipants []struct{ SubjectOID, CreatedBy string }
		SiteOID           string
	}
	if err := json.Unmarshal([]byte(fetch(t, a.header.Get("Location")).body), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.StudyParticipants) != many || all.SiteOID != "S_RIVER" {
		t.Fatalf("%d of %s", len(all.StudyParticipants), all.SiteOID)
	}
	for i, one := range all.StudyParticipants {
		if one.SubjectOID != fmt.Sprint("SS_", i+1) || one.CreatedBy != "admin" {
			t.Fatalf("at %d is %+v", i, one)
		}
	}
	if read.most > 1000 {
		t.Errorf("%d participants were held at once", read.most)
	}
	if log := w.logged(); strings.Count(log, `"status":303`) != 1 {
		t.Errorf("the log does not tell that the answer lies elsewhere: %s", log)
	}
	w.api.Patience = 0
	w.fallback.do("GET", atRiver, "").refused(t, 400, "Ask for pages of it")
	if a := w.fallback.do("GET", atRiver+"?maxResults=1&after=SS_1099", ""); a.status != 200 || !strings.Contains(a.body, `"SS_1100"`) {
		t.Errorf("a page of it: %d %.300s", a.status, a.body)
	}
}

// Of many who ask for one id at once, one gets it.
func TestOneParticipantOfManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.river()
	status := make(chan int)
	const n = 8
	for range n {
		go func() { status <- w.fallback.do("POST", atRiver, `{"subjectKey":"one"}`).status }()
	}
	made := 0
	for range n {
		if s := <-status; s == 200 {
			made++
		} else if s != 400 {
			t.Errorf("status %d", s)
		}
	}
	if made != 1 {
		t.Errorf("%d were made, want 1", made)
	}
}
