package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestDeletedOrAddedTo deletes objects in the moment in which something is created below them: one of the two is refused,
// or what was created goes with the object.
func TestDeletedOrAddedTo(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	const primary = `"lineage":"New","specimenClass":"Fluid","type":"Plasma","status":"Collected"`
	registered := func(cp int64, ppid string) int64 {
		return idOf(c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":%q,"registrationDate":"2021-02-24","participant":{}}`, cp, ppid)))
	}
	visited := func(reg int64, name string) string {
		return fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":%q,"site":"North Biobank","status":"Complete"}`, reg, s.event, name)
	}
	protocol := func(n string) int64 {
		return idOf(c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":"R%[1]s","title":"Race %[1]s","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`, n)))
	}
	box := func(name, more string) string {
		return fmt.Sprintf(`{"name":%q,"numOfRows":3,"numOfColumns":3,"storeSpecimensEnabled":true,%s}`, name, more)
	}
	for noun, test := range map[string]struct {
		parent string // its path
		make   func(n string) int64
		child  string
		body   func(parent int64, n string) string
	}{
		"protocol": {"/collection-protocols", protocol, "/collection-protocol-registrations", func(cp int64, n string) string {
			return fmt.Sprintf(`{"cpId":%d,"ppid":%q,"registrationDate":"2021-02-24","participant":{}}`, cp, n)
		}},
		"participant": {"/collection-protocol-registrations", func(n string) int64 { return registered(s.cp, "R"+n) }, "/visits", func(reg int64, n string) string {
			return visited(reg, fmt.Sprintf("R%s.B.1", n))
		}},
		"visit": {"/visits", func(n string) int64 {
			return idOf(c.must("POST", "/visits", visited(s.registration, "INV-1.B.7"+n)))
		}, "/specimens", func(visit int64, n string) string {
			return fmt.Sprintf(`{"visitId":%d,"label":"v%s",%s}`, visit, n, primary)
		}},
		"specimen": {"/specimens", func(n string) int64 {
			return idOf(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"s%s",%s}`, s.visit, n, primary)))
		}, "/specimens", func(parent int64, n string) string {
			return fmt.Sprintf(`{"parentId":%d,"label":"k%s","lineage":"Derived","specimenClass":"Fluid","type":"Serum","status":"Collected"}`, parent, n)
		}},
		"event": {"/collection-protocol-events", func(n string) int64 {
			return idOf(c.must("POST", "/collection-protocol-events", fmt.Sprintf(`{"eventLabel":"E%s","cpShortTitle":"INV"}`, n)))
		}, "/visits", func(event int64, n string) string {
			return fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"INV-1..8%s","site":"North Biobank","status":"Complete"}`, s.registration, event, n)
		}},
		"container with containers": {"/storage-containers", func(n string) int64 {
			return idOf(c.must("POST", "/storage-containers", box("C"+n, `"siteName":"North Biobank"`)))
		}, "/storage-containers", func(in int64, n string) string {
			return box("D"+n, fmt.Sprintf(`"storageLocation":{"id":%d}`, in))
		}},
		"container with specimens": {"/storage-containers", func(n string) int64 {
			return idOf(c.must("POST", "/storage-containers", box("B"+n, `"siteName":"North Biobank"`)))
		}, "/specimens", func(in int64, n string) string {
			return fmt.Sprintf(`{"visitId":%d,"label":"b%s",%s,"storageLocation":{"id":%d}}`, s.visit, n, primary, in)
		}},
		"site": {"/sites", func(n string) int64 {
			return idOf(c.must("POST", "/sites", fmt.Sprintf(`{"name":"Site %s","instituteName":"Default Institute","type":"Repository"}`, n)))
		}, "/storage-containers", func(_ int64, n string) string {
			return box("S"+n, fmt.Sprintf(`"siteName":"Site %s"`, n))
		}},
		"institute": {"/institutes", func(n string) int64 {
			return idOf(c.must("POST", "/institutes", fmt.Sprintf(`{"name":"Institute %s"}`, n)))
		}, "/sites", func(_ int64, n string) string {
			return fmt.Sprintf(`{"name":"Of %[1]s","instituteName":"Institute %[1]s","type":"Repository"}`, n)
		}},
	} {
		t.Run(noun, func(t *testing.T) {
			deletions := 0
			for i := range 50 {
				n := fmt.Sprintf("%d", i+1)
				parent := test.make(n)
				var gone, made answer
				var all sync.WaitGroup
				all.Go(func() {
					time.Sleep(rand.N(6 * time.Millisecond))
					gone = c.do("DELETE", fmt.Sprintf("%s/%d", test.parent, parent), "")
				})
				all.Go(func() {
					time.Sleep(rand.N(6 * time.Millisecond))
					made = c.do("POST", test.child, test.body(parent, n))
				})
				all.Wait()
				for _, a := range []answer{gone, made} {
					if a.status != 200 && a.status != 400 && a.status != 503 {
						t.Fatalf("%d %s", a.status, a.body)
					}
				}
				if gone.status != 200 {
					continue
				}
				deletions++
				if made.status != 200 {
					continue
				}
				var child struct{ ID int64 }
				if err := json.Unmarshal([]byte(made.body), &child); err != nil {
					t.Fatal(err)
				}
				if child := c.do("GET", fmt.Sprintf("%s/%d", test.child, child.ID), ""); child.status == 200 {
					t.Fatalf("%s %d was deleted, and %s is there", noun, parent, child.body)
				}
			}
			if deletions == 0 || deletions == 50 {
				t.Logf("%d of 50 were deleted", deletions)
			}
		})
	}
}
