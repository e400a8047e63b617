package api_test

import (
	"fmt"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
)

const mergeBody = `{"srcCpShortTitle":"INV","tgtCpShortTitle":"TWO"}`

func TestMergeProtocols(t *testing.T) {
	_, c, s, event, requirement := newPair(t)
	// Ada is in INV alone, Bea in both, each with a visit that brought a specimen.
	bea, person := c.register("INV", "INV-2", `{"firstName":"Bea","lastName":"Canary","birthDate":"1970-01-02","empi":"E-2"}`)
	there, same := c.register("TWO", "TWO-2", `{"empi":"E-2"}`)
	if person != same {
		t.Fatalf("participants %d and %d", person, same)
	}
	c.must("POST", "/collection-protocols", `{"shortTitle":"FAR","title":"A far study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"manualPpidEnabled":true}`)
	far, _ := c.register("FAR", "FAR-2", `{"empi":"E-2"}`)
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-2.B.1","eventId":%d}`, bea, s.event))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"BEA","type":"Whole Blood","initialQty":3,"reqId":%d}`, visit["id"], s.requirement))
	other := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Only here","cpShortTitle":"INV","defaultSite":"North Biobank"}`)
	c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1..2","eventId":%v}`, s.registration, other["id"]))
	form := c.newForm("habits", `{"name":"habits","caption":"Habits","rows":[[{"type":"stringTextField","name":"smokes","udn":"smokes","caption":"Smokes"}]]}`)
	fc := c.associate(form, "Participant", -1, "")
	for _, reg := range []int{bea, int(s.registration), there} {
		c.must("POST", fmt.Sprintf("/forms/%d/data", form), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"smokes":"no"}`, fc, reg))
	}

	t.Run("refused", func(t *testing.T) {
		for body, code := range map[string]string{
			`{}`:                        "CP_NOT_FOUND",
			`{"srcCpShortTitle":"INV"}`: "CP_NOT_FOUND",
			`{"srcCpShortTitle":"NONE","tgtCpShortTitle":"TWO"}`:  "CP_NOT_FOUND",
			`{"srcCpShortTitle":["INV"],"tgtCpShortTitle":"TWO"}`: "INVALID_REQUEST",
			`{"srcCpShortTitle":"INV","tgtCpShortTitle":"inv"}`:   "COMMON_INVALID_INPUT",
			`{"srcCpShortTitle":"INV","tgtCpShortTitle":"FAR"}`:   "CP_CANNOT_MERGE_FMT_DIFFERS",
		} {
			c.do("POST", "/collection-protocols/merge", body).refused(t, 400, code)
		}
		// Somebody else has the PPID there.
		dup, _ := c.register("TWO", "INV-1", `{"lastName":"Other"}`)
		c.do("POST", "/collection-protocols/merge", mergeBody).refused(t, 400, "CPR_DUP_PPID")
		c.must("DELETE", fmt.Sprintf("%s/%d", regs, dup), "")
		// A container is kept for the source.
		box := c.must("POST", "/storage-containers", `{"name":"Box","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"allowedCollectionProtocols":["INV"]}`)
		c.do("POST", "/collection-protocols/merge", mergeBody).refused(t, 400, "CP_REF_ENTITY_FOUND")
		c.must("DELETE", fmt.Sprintf("/storage-containers/%v", box["id"]), "")
		if got := c.place(s.specimen); got != fmt.Sprintf("INV INV-1 INV-1.B.1 %d", s.requirement) {
			t.Errorf("a refused merge left the specimen at %s", got)
		}
	})

	if a := c.do("POST", "/collection-protocols/merge", mergeBody); a.status != 200 || a.body != mergeBody {
		t.Fatalf("merge: %d %s", a.status, a.body)
	}
	c.do("GET", fmt.Sprintf("/collection-protocols/%d", s.cp), "").refused(t, 400, "CP_NOT_FOUND")
	c.do("POST", "/collection-protocols/merge", mergeBody).refused(t, 400, "CP_NOT_FOUND")
	t.Run("who was in the source alone", func(t *testing.T) {
		reg := c.must("GET", fmt.Sprintf("%s/%d", regs, s.registration), "")
		if reg["cpShortTitle"] != "TWO" || reg["ppid"] != "INV-1" {
			t.Errorf("the registration is %v", reg)
		}
		if got := c.place(s.specimen); got != fmt.Sprintf("TWO INV-1 INV-1.B.1 %v", requirement) {
			t.Errorf("the specimen is at %s", got)
		}
		visits := c.list("GET", fmt.Sprintf("/visits?cprId=%d", s.registration), "")
		if len(visits) != 2 || visits[0]["eventId"] != event || visits[1]["eventId"] != nil {
			t.Errorf("visits %v", visits)
		}
		for _, body := range []string{`{"pmis":[{"mrn":"MRN-7","siteName":"North Biobank"}]}`, `{"lastName":"canary","birthDate":"1980-05-06"}`} {
			if got := c.list("POST", "/participants/match", body); len(got) != 1 {
				t.Errorf("%s matches %v", body, got)
			}
		}
		got := c.list("POST", regs+"/list", `{"cpId":2,"ppid":"INV-1"}`)
		if len(got) != 1 {
			t.Errorf("by PPID: %v", got)
		}
		if got := c.must("GET", fmt.Sprintf("%s/%d/audit", regs, s.registration), ""); got["verified"] != true {
			t.Errorf("the audit is %v", got)
		}
	})
	t.Run("who was in both", func(t *testing.T) {
		c.do("GET", fmt.Sprintf("%s/%d", regs, bea), "").refused(t, 400, "CPR_M_NOT_FOUND")
		visits := c.list("GET", fmt.Sprintf("/visits?cprId=%d", there), "")
		if len(visits) != 1 || visits[0]["id"] != visit["id"] || visits[0]["ppid"] != "TWO-2" {
			t.Errorf("visits %v", visits)
		}
		if got := c.list("GET", "/specimens?label=BEA", ""); len(got) != 1 || got[0]["ppid"] != "TWO-2" || got[0]["reqId"] != requirement {
			t.Errorf("the specimen is %v", got)
		}
		if got := c.list("GET", fmt.Sprintf("/forms/%d/records?objectId=%d&entityType=Participant", form, there), ""); len(got) != 2 {
			t.Errorf("records %v", got)
		}
		if got := objects(c.person(far)["registeredCps"]); len(got) != 2 {
			t.Errorf("registered in %v", got)
		}
	})
	if got := c.list("POST", regs+"/list", `{"cpId":2}`); len(got) != 2 {
		t.Errorf("the target has %v", got)
	}
}

// TestMergeInSeveralRequests asks until it is done.
func TestMergeInSeveralRequests(t *testing.T) {
	localtest.HandlerOnly(t)
	w, c, s, _, _ := newPair(t)
	w.newPeople(c, s, 20)
	w.hurry(6 * time.Second)
	asked := 0
	for done := false; !done; asked++ {
		if asked == 30 {
			t.Fatal("a merge never ends")
		}
		done = c.must("POST", "/collection-protocols/merge", mergeBody)["completed"] == nil
	}
	w.hurry(0)
	if asked < 3 {
		t.Errorf("done with %d requests", asked)
	}
	if got := c.must("POST", regs+"/count", `{"cpId":2}`); got["count"] != 21.0 {
		t.Errorf("the target has %v", got)
	}
	if got := c.place(s.aliquot); got != "TWO INV-1 INV-1.B.1 <nil>" {
		t.Errorf("the aliquot is at %s", got)
	}
}
