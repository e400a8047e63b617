package odmapi_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"

	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
)

// A key makes one job of one user for one study, and another file with it is refused.
func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	w.river()
	dora := w.newUser("dora")
	w.grant("S_RIVER", "dora", "Data Manager")
	const path, key = "/clinicaldata/import/xml", "Idempotency-Key: sent by the river station, once "
	one := document("S_RIVER", "R-1", `<ItemData ItemOID="I_SEX" Value="F"/>`)
	send := func(c caller, doc string, more ...part) answer {
		body, header := form(append([]part{{"file", "a.xml", doc}}, more...)...)
		return c.do("POST", path, body, header, key)
	}
	zip := part{"attachedFilesZip", "a.zip", zipped(t, "a.pdf")}

	// What is refused does not use the key.
	send(w.fallback, one[:len(one)-1]).refused(t, 415, "errorCode.invalidXMLFile")

	answers := make([]answer, 5)
	var at sync.WaitGroup
	for i := range answers {
		at.Go(func() { answers[i] = send(w.fallback, one, zip) })
	}
	at.Wait()
	first := w.job(answers[0])
	h := sha256.Sum256(fmt.Appendf(nil, "%d\x00XML_IMPORT\x00S_RIVER\x00sent by the river station, once", first.OwnerID))
	if uuid, err := odmimport.NewUUID(bytes.NewReader(h[:])); err != nil || first.UUID != uuid { // also before an update
		t.Errorf("job %s, want %s, %v", first.UUID, uuid, err)
	}
	for _, a := range answers[1:] {
		if j := w.job(a); j.UUID != first.UUID {
			t.Errorf("sent at once: jobs %s and %s", first.UUID, j.UUID)
		}
	}
	all, err := w.api.Jobs.List(t.Context(), jobs.Filter{})
	if err != nil || len(all) != 1 {
		t.Errorf("%d jobs, %v", len(all), err)
	}

	const used = "errorCode.idempotencyKeyAlreadyUsed\n"
	send(w.fallback, one).refused(t, 422, used) // without the ZIP
	send(w.fallback, strings.Replace(one, `"F"`, `"M"`, 1), zip).refused(t, 422, used)
	body, header := form(part{"file", "b.xml", one}, zip)
	w.fallback.do("POST", path, body, header, key).refused(t, 422, used)

	seen := map[string]bool{first.UUID: true}
	another := func(name string, a answer) {
		t.Helper()
		if j := w.job(a); seen[j.UUID] {
			t.Errorf("%s: the job is %s again", name, j.UUID)
		} else {
			seen[j.UUID] = true
		}
	}
	another("another user", send(dora, one, zip))
	another("another study", send(w.fallback, document("S_SPRING", "R-1", ""), zip))
	body, header = form(part{"file", "a.csv", "ParticipantID\nR-1\n"})
	bulk := func() answer {
		return w.fallback.do("POST", "/clinicaldata/studies/S_RIVER/sites/S_SPRING/participants/bulk", body, header, key)
	}
	another("a file of participants", bulk())
	if j := w.job(bulk()); !seen[j.UUID] {
		t.Error("sent again, a file of participants is another job")
	}
	body, header = form(part{"file", "a.xml", one})
	another("no key", w.fallback.do("POST", path, body, header))
	another("an empty key", w.fallback.do("POST", path, body, header, "Idempotency-Key: "))
	another("no key", w.fallback.do("POST", path, body, header))

	// The answer is that of the first time, whatever has become of the study since.
	w.fallback.must("PUT", "/studies/S_RIVER/status", `{"status":"Locked"}`)
	if j := w.job(send(w.fallback, one, zip)); j.UUID != first.UUID {
		t.Errorf("in a locked study it is job %s", j.UUID)
	}
	w.fallback.do("POST", path, body, header, "Idempotency-Key: "+strings.Repeat("k", 256)).refused(t, 400, "COMMON_INVALID_INPUT")
	if strings.Contains(w.logged(), "river station") {
		t.Error("the log holds the key")
	}
}

// Changes of events and notes take keys, too: sent again, they are answered as the first time, and add nothing.
func TestIdempotencyKeyOfChanges(t *testing.T) {
	w := newWorld(t)
	w.river()
	dora := w.newUser("dora")
	w.grant("S_RIVER", "dora", "Data Manager")
	c := w.fallback
	c.must("POST", atSpring, `{"subjectKey":"R-1"}`)
	c.must("POST", atSpring, `{"subjectKey":"R-2"}`)
	w.take("S_RIVER", vitals)
	const (
		events = "/clinicaldata/studies/S_RIVER/sites/S_SPRING/events"
		notes  = "/clinicaldata/studies/S_RIVER/sites/S_SPRING/notes"
		again  = `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-03"}`
		item   = `"subjectKey":"R-1","studyEventOID":"SE_FIRST","formOID":"F_VITALS","itemGroupOID":"IG_VITALS","itemOID":"I_SEX"`
		query  = `{` + item + `,"noteType":"Query","detailedNote":"Is that so?","description":"Sex"}`
		used   = "errorCode.idempotencyKeyAlreadyUsed"
	)
	keyed := func(c caller, method, path, body, key string) answer {
		return c.do(method, path, body, "Idempotency-Key: "+key)
	}
	// repeats counts the occurrences of SE_AGAIN, with the one that vitals has.
	repeats := func() int {
		return strings.Count(c.do("GET", "/clinicaldata/S_RIVER/R-1/SE_AGAIN/*", "", "Accept: text/xml").body, "<StudyEventData")
	}

	answers := make([]answer, 4)
	var at sync.WaitGroup
	for i := range answers {
		at.Go(func() { answers[i] = keyed(c, "POST", events, again, "the second visit") })
	}
	at.Wait()
	first := answers[0]
	if first.status != 200 || !strings.Contains(first.body, `"studyEventRepeatKey":"2"`) {
		t.Fatal(first)
	}
	for _, a := range answers {
		a.is(t, 200, first.body)
	}
	if n := repeats(); n != 2 {
		t.Fatalf("%d occurrences", n)
	}
	for _, body := range []string{strings.Replace(again, "R-1", "R-2", 1), strings.Replace(again, "03", "04", 1), again + " "} {
		keyed(c, "POST", events, body, "the second visit").refused(t, 422, used)
	}
	keyed(c, "PUT", events, again, "the second visit").refused(t, 422, used)
	keyed(c, "POST", events, strings.Replace(again, "2026", "soon", 1), "refused").refused(t, 400, "errorCode.invalidStartDate")
	if a := keyed(c, "POST", events, again, "refused"); a.status != 200 || a.body == first.body { // what was refused has no key
		t.Errorf("after a refusal: %d %s", a.status, a.body)
	}
	if a := keyed(dora, "POST", events, again, "the second visit"); a.status != 200 || !strings.Contains(a.body, `"studyEventRepeatKey":"4"`) {
		t.Errorf("another user: %d %s", a.status, a.body)
	}
	const skip = `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","studyEventRepeatKey":"2","eventStatus":"skipped"}`
	skipped := keyed(c, "PUT", events, skip, "skip")
	c.must("PUT", events, strings.Replace(skip, "skipped", "data entry started", 1))
	keyed(c, "POST", events, again, "the second visit").is(t, 200, first.body) // as it was then
	keyed(c, "PUT", events, skip, "skip").is(t, 200, skipped.body)

	// A change that changes nothing is done as well, and not once more after somebody else's.
	const date = `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","studyEventRepeatKey":"2","startDate":"2026-02-03"}`
	same := keyed(c, "PUT", events, date, "date")
	other := strings.Replace(date, "03", "05", 1)
	c.must("PUT", events, other)
	keyed(c, "PUT", events, date, "date").is(t, 200, same.body)
	if got := c.do("GET", "/clinicaldata/S_RIVER/R-1/SE_AGAIN/*", "", "Accept: text/xml").body; !strings.Contains(got, `StartDate="2026-02-05"`) {
		t.Errorf("a change that was done before was done again:\n%s", got)
	}
	keyed(c, "PUT", events, other, "date").refused(t, 422, used)

	// Whoever was asked may have lost the role since.
	w.newUser("eve")
	w.grant("S_RIVER", "eve", "Monitor")
	asked := strings.Replace(query, `"noteType"`, `"assignedTo":"eve","noteType"`, 1)
	assigned := keyed(c, "POST", notes, asked, "ask eve")
	w.grant("S_RIVER", "eve", "")
	keyed(c, "POST", notes, asked, "ask eve").is(t, 200, assigned.body)
	keyed(c, "POST", notes, asked, "ask eve again").refused(t, 400, "errorCode.assignedUserNotValid")

	begun := keyed(c, "POST", notes, query, "ask")
	note := between(t, begun.body, `{"id":"`, `"`)
	reply := `{` + item + `,"status":"Updated","detailedNote":"It is."}`
	replied := keyed(c, "PUT", notes+"/"+note, reply, "reply")
	if strings.Count(replied.body, "detailedNote") != 2 {
		t.Fatal(replied)
	}
	c.must("PUT", notes+"/"+note, strings.Replace(reply, "Updated", "Closed", 1))
	keyed(c, "POST", notes, query, "ask").is(t, 200, begun.body)
	keyed(c, "PUT", notes+"/"+note, reply, "reply").is(t, 200, replied.body)
	keyed(c, "PUT", notes+"/DN_0", reply, "reply").refused(t, 422, used)
	keyed(c, "POST", notes, strings.Replace(query, "so", "not so", 1), "ask").refused(t, 422, used)
	all := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*?includeDNs=y", "", "Accept: text/xml").body
	if threads, said := strings.Count(all, "<OpenClinica:DiscrepancyNote "), strings.Count(all, "<OpenClinica:ChildNote"); threads != 2 || said != 4 {
		t.Errorf("%d notes, in which %d things are said", threads, said)
	}

	// The answer is that of the first time, whatever has become of the participant and the study since; but not for who may not
	// change data any more.
	c.must("PUT", atSpring, `{"subjectKey":"R-1","removed":true}`)
	w.fallback.must("PUT", "/studies/S_RIVER/status", `{"status":"Locked"}`)
	keyed(c, "POST", events, again, "the second visit").is(t, 200, first.body)
	keyed(c, "POST", notes, query, "ask").is(t, 200, begun.body)
	w.grant("S_RIVER", "dora", "Monitor")
	keyed(dora, "POST", events, again, "the second visit").refused(t, 403, "errorCode.noSufficientPrivileges")
	keyed(c, "POST", events, again, strings.Repeat("k", 256)).refused(t, 400, "COMMON_INVALID_INPUT")
	if log := w.logged(); strings.Contains(log, "second visit") || strings.Contains(log, "Is that so") {
		t.Error("the log holds a key or a note")
	}
}
