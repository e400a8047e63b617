package odmapi_test

import (
	"strings"
	"sync"
	"testing"

	"aliquot/shared/jobs"
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
