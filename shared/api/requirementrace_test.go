package api_test

import (
	"fmt"
	"sync"
	"testing"
)

// TestAliquotsTakenAtOnce plans aliquots of a requirement, and more in one of them, in the same moment: together they never
// take more than their parent has, nor is it given less than they have taken.
func TestAliquotsTakenAtOnce(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	body := func(qty int) string {
		return fmt.Sprintf(`{"eventId":%d,"specimenClass":"Fluid","type":"Plasma","initialQty":%d,%s}`, s.event, qty, primary)
	}
	both := 0
	for range 12 {
		parent := fmt.Sprintf("/specimen-requirements/%d", idOf(c.must("POST", "/specimen-requirements", body(10))))
		first := c.list("POST", parent+"/aliquots", `{"noOfAliquots":1,"qtyPerAliquot":1}`)[0]
		requests := []struct{ method, path, body string }{
			{"POST", parent + "/aliquots", `{"noOfAliquots":1,"qtyPerAliquot":6}`},
			{"POST", parent + "/aliquots", `{"noOfAliquots":1,"qtyPerAliquot":5}`},
			{"PUT", fmt.Sprintf("/specimen-requirements/%v", first["id"]), body(6)},
			{"PUT", parent, body(3)},
		}
		answers := make([]answer, len(requests))
		var all sync.WaitGroup
		for i, r := range requests {
			all.Go(func() { answers[i] = c.do(r.method, r.path, r.body) })
		}
		all.Wait()
		done := 0
		for i, a := range answers {
			switch a.status {
			case 200:
				done++
			case 400:
				a.refused(t, 400, "SR_INSUFFICIENT_QTY")
			case 503:
			default:
				t.Fatalf("%s %s: %d %s", requests[i].method, requests[i].path, a.status, a.body)
			}
		}
		if done > 1 {
			both++
		}
		got := c.must("GET", parent, "")
		taken := 0.0
		for _, kid := range got["children"].([]any) {
			taken += kid.(map[string]any)["initialQty"].(float64)
		}
		if has := got["initialQty"].(float64); taken > has {
			t.Fatalf("the aliquots take %v of %v", taken, has)
		}
		if audit := c.must("GET", parent+"/audit", ""); audit["verified"] != true {
			t.Errorf("the audit of the parent is %v", audit)
		}
		if done == 0 {
			t.Error("none of the requests was served")
		}
	}
	if both > 0 {
		t.Errorf("two of the requests were served %d times, and no two of them fit", both)
	}
}
