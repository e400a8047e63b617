package odmapi_test

import (
	"strings"
	"testing"

	"aliquot/shared/blob"
	"aliquot/shared/jobs"
)

func TestBulkFilesAreMadeJobs(t *testing.T) {
	w := newWorld(t)
	w.river()
	const site = "/clinicaldata/studies/s_river/sites/s_spring"
	for path, jobType := range map[string]string{"/participants/bulk?register=n": "BULK_ADD_PARTICIPANTS", "/events/bulk": "SCHEDULE_EVENT"} {
		const text = "StudyEventOID;ParticipantID\nSE_ONE;R-1\n"
		body, header := form(part{"file", "list.CSV", text})
		j := w.job(w.fallback.do("POST", site+path, body, header))
		if j.ObjectType != jobType || j.Status != jobs.Queued || j.FileName != "list.CSV" || j.Owner != "admin" || j.Params["study"] != "S_RIVER" ||
			j.Params["site"] != "S_SPRING" || frozen(j.Params["log"]) != "SPRING-TEST_"+jobType+"_2026-03-01-120000000+0000.csv" {
			t.Errorf("%s: %+v", path, j)
		}
		stored, err := w.api.Blobs.Get(t.Context(), blob.Object{Bucket: j.Bucket, Key: j.Key, Version: j.Version}, 1<<20)
		if err != nil || string(stored) != text || !strings.HasPrefix(j.Key, "_uploads/odm/"+j.UUID+"/") {
			t.Errorf("%s: stored at %s: %s, %v", path, j.Key, stored, err)
		}
		if list := w.fallback.do("GET", "/studies/S_RIVER/sites/S_SPRING/jobs?maxResults=1", ""); !strings.Contains(list.body, `"type":"`+jobType+`"`) {
			t.Errorf("listed %s", list.body)
		}
		w.fallback.do("GET", "/jobs/"+j.UUID+"/downloadFile", "").is(t, 200, "errorCode.jobInProgress")
	}
	if log := w.logged(); strings.Contains(log, "R-1") {
		t.Error("the log holds a participant's id")
	}
}

func TestBulkFilesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.fallback.must("PUT", "/studies/S_BARE", `{}`)
	w.fallback.must("PUT", "/studies/S_BARE_SITE", `{"parent":"S_BARE"}`)
	w.fallback.must("PUT", "/studies/S_MOUTH/status", `{"status":"Frozen"}`)
	const people, events = "/participants/bulk", "/events/bulk"
	fine := []part{{"file", "a.csv", "ParticipantID,StudyEventOID\nR-1,SE\n"}}
	for _, test := range []struct {
		name, study, site, path string
		parts                   []part
		status                  int
		code                    string
	}{
		{"unknown study", "S_NONE", "S_SPRING", people, fine, 404, "studyOIDNotFound"},
		{"a site for a study", "S_SPRING", "S_SPRING", people, fine, 404, "studyOIDNotFound"},
		{"unknown site", "S_RIVER", "S_NONE", people, fine, 404, "siteNotExist"},
		{"another study's site", "S_BARE", "S_SPRING", events, fine, 404, "siteNotExist"},
		{"frozen site", "S_RIVER", "S_MOUTH", people, fine, 400, "siteNotAvailable"},
		{"no metadata", "S_BARE", "S_BARE_SITE", events, fine, 400, "studyOIDNotAvailable"},
		{"Participate", "S_RIVER", "S_SPRING", people + "?register=Y", fine, 400, "participateInActive"},
		{"no file", "S_RIVER", "S_SPRING", people, []part{{"other", "a.csv", "x"}}, 415, "fileFormatNotSupported"},
		{"no CSV", "S_RIVER", "S_SPRING", people, []part{{"file", "a.xlsx", "x"}}, 415, "fileFormatNotSupported"},
		{"no name", "S_RIVER", "S_SPRING", people, []part{{"file", "", "ParticipantID\n"}}, 415, "fileFormatNotSupported"},
		{"empty", "S_RIVER", "S_SPRING", people, []part{{"file", "a.csv", ""}}, 400, "COMMON_INVALID_INPUT"},
		{"a workbook", "S_RIVER", "S_SPRING", people, []part{{"file", "a.csv", "PK\x03\x04"}}, 400, "COMMON_INVALID_INPUT"},
		{"no column", "S_RIVER", "S_SPRING", people, []part{{"file", "a.csv", "ID\n1\n"}}, 400, "COMMON_INVALID_INPUT"},
		{"no event column", "S_RIVER", "S_SPRING", events, []part{{"file", "a.csv", "ParticipantID\n1\n"}}, 400, "COMMON_INVALID_INPUT"},
		{"a column twice", "S_RIVER", "S_SPRING", events, []part{{"file", "a.csv", "ParticipantID,StudyEventOID,studyeventoid\n"}}, 400, "COMMON_INVALID_INPUT"},
		{"a ZIP", "S_RIVER", "S_SPRING", people, append([]part{{"attachedFilesZip", "a.zip", "x"}}, fine...), 400, "COMMON_INVALID_INPUT"},
		{"too large", "S_RIVER", "S_SPRING", people, []part{{"file", "a.csv", "ParticipantID\n" + strings.Repeat("R-1\n", 1<<20)}}, 413, "COMMON_INVALID_INPUT"},
	} {
		body, header := form(test.parts...)
		a := w.fallback.do("POST", "/clinicaldata/studies/"+test.study+"/sites/"+test.site+test.path, body, header)
		if a.status != test.status || !strings.Contains(a.body, test.code) {
			t.Errorf("%s: %d %s, want %d %s", test.name, a.status, a.body, test.status, test.code)
		}
	}
	w.fallback.do("POST", "/clinicaldata/studies/S_RIVER/sites/S_SPRING/participants/bulk", "ParticipantID\nR-1\n", "Content-Type: text/csv").refused(t, 415, "")
	if all, err := w.api.Jobs.List(t.Context(), jobs.Filter{}); err != nil || len(all) > 0 {
		t.Errorf("jobs %v, %v", all, err)
	}
}
