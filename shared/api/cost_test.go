package api_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"aliquot/infra/local/localtest"
)

// tally counts the DynamoDB calls of one request.
type tally struct{ calls, session atomic.Int64 }

type (
	tallyKey   struct{}
	outsizeKey struct{}
)

// counting is a configuration whose clients count their calls, each for the request in whose context it is made.
func counting(cfg aws.Config) aws.Config {
	cfg.HTTPClient = countingClient{awshttp.NewBuildableClient()}
	return cfg
}

type countingClient struct{ aws.HTTPClient }

func (c countingClient) Do(r *http.Request) (*http.Response, error) {
	if t, ok := r.Context().Value(tallyKey{}).(*tally); ok {
		t.calls.Add(1)
	}
	return c.HTTPClient.Do(r)
}

// outsize is the header of requests that are held to no bar: they are about more objects than one transaction takes, or
// come at once with many others about the same object.
const outsize = "Test-Outsize"

// tallied gives each request a tally.
func tallied(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(outsize) != "" {
			r = r.WithContext(context.WithValue(r.Context(), outsizeKey{}, true))
		}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tallyKey{}, &tally{})))
	})
}

func identified(ctx context.Context) {
	t := ctx.Value(tallyKey{}).(*tally)
	t.session.Store(t.calls.Load())
}

// costs are the calls of the successful requests of all tests: of what they did, and of the look-up of the session.
var costs = struct {
	sync.Mutex
	most    map[string]int64
	session map[int64]int
	last    int64 // of the last request
}{most: map[string]int64{}, session: map[int64]int{}}

func served(ctx context.Context, pattern string, status int) {
	if status != http.StatusOK || ctx.Value(outsizeKey{}) != nil {
		return
	}
	t := ctx.Value(tallyKey{}).(*tally)
	session := t.session.Load()
	calls := t.calls.Load() - session
	costs.Lock()
	defer costs.Unlock()
	costs.last = calls
	costs.most[pattern] = max(costs.most[pattern], calls)
	costs.session[session]++
}

// A bar is the most DynamoDB calls of a successful request, beside the look-up of the session. Of the bars whose expression
// fits a route the first counts.
type bar struct {
	routes *regexp.Regexp
	most   int64
}

func on(routes string) *regexp.Regexp { return regexp.MustCompile("^" + routes) }

const shards = 8 // of a protocol's trees: a list is a call for each

var bars = []bar{
	// Deleting a protocol reads its trees, in pages, seals what it deletes, and writes it in transactions of 100 items.
	{on(`DELETE /collection-protocols(/\{id\})?$`), 400},
	// Each one's orders are looked for, once to check all and twice to delete it: before it is sealed and after; two in the tests.
	{on(`DELETE /distribution-protocols$`), 8*shards + 2},
	// Their specimens come a hundred a call with what lies around them, and change by thirties; the tests have some hundreds.
	{on(`(GET|POST|PUT|DELETE) /(distribution-orders|distribution-protocols/orders|shipments|specimen-lists)`), 160},
	// Who has answered a statement is looked for in the protocol and in those that take their consents from it.
	{on(`DELETE .*/consent-tiers/\{tier\}$`), 3*shards + 5},
	// What stands in containers, and which of them are of a type, is looked for in the shards of the containers; of those that
	// are deleted once more when they were sealed.
	{on(`DELETE /(storage-containers|container-types)`), 4*shards + 4},
	// Containers, orders and shipments that name them are looked for in their shards, and in each protocol that has named
	// them, one in the tests, what does; before they are sealed and after.
	{on(`DELETE /(sites|users)`), 10*shards + 4},
	{on(`GET /(sites|users)/\{id\}/dependent-entities$`), 5*shards + 4},
	// Each is looked at twice, with what lies below it: once to check all, and once to delete it; two at a time in the tests.
	{on(`DELETE /(specimens|collection-protocol-registrations)$`), 4 * shards},
	// What depends on an object is looked for before it is sealed and after: a refused deletion is to be in nobody's way.
	{on(`DELETE `), 3*shards + 4},
	// Registrations are looked for in one set of shards, containers in the other.
	{on(`GET /collection-protocols/\{id\}/dependent-entities$`), 2*shards + 4},
	// Where a protocol holds specimens to their storage site, the containers that they stand in are read, and those around.
	{on(`GET /specimens/\{id\}(/audit)?$`), 7},
	{on(`GET /specimen-requirements/\{id\}/specimens-count$`), shards + 6},
	{on(`POST /specimens/search$`), shards + 7},
	// Answers are counted in the protocol, and in those that take their consents from it, one in the tests.
	{on(`GET .*/consent-tiers/\{tier\}/dependent-entities$`), 2*shards + 4},
	// What a protocol's definition holds up is looked for in all shards.
	{on(`GET .*/(dependent-entities|specimens-count)$`), shards + 4},
	// The object, its entries, who made them and of what institute.
	{on(`GET /forms/.*/audit$`), 6}, // and whom the record is about
	{on(`GET .*/audit$`), 5},
	// The record with what lies around it, and the names it shows (TestReadsTakeTwoCalls). Seldom what it was pooled of, what
	// it stands in, the forms of its custom fields, and somebody of another institute.
	{on(`GET (/[^{}]*)?/\{id\}$`), 5},
	// The trees are read for the rows of a page, and once more for how many there are; what each page names is read anew.
	{on(`((GET|POST) /collection-protocols/(list-detail|list-size|expression-values)|POST /lists/data)$`), 2*shards + 12},
	// With detailedList each protocol's registrations and specimens are counted.
	{on(`GET /collection-protocols$`), 4*shards + 5},
	// Of those at a site, by cpId, the shards are read until the page is full, each with the protocol anew: nothing is kept.
	{on(`GET /specimens$`), 2*shards + 12},
	{on(`(GET|HEAD) `), shards + 5},
	// Without cpId the shards of every protocol are asked, five in the tests.
	{on(`POST /collection-protocol-registrations/(list|count)$`), 5*shards + 5},
	// Each participant is checked, and then registered in a transaction of its own; three in the tests.
	{on(`POST /collection-protocol-registrations/bulk$`), 3 * 14},
	{on(`POST .*/(list|count|search|match|multi-match)$`), shards + 5},
	// A definition is written in as many transactions as it takes.
	{on(`POST .*/(copy|definition)$`), 40},
	// What moves does so eight records at a time, each time with the reads of a change; the tests have some tens.
	{on(`POST /collection-protocols/merge$`), 300},
	{on(`PUT /visits/\{id\}$`), 60},
	// Each visit and registration of the person is checked, and changed in a transaction of its own; four in the tests.
	{on(`PUT .*/anonymize$`), 40},
	// A hierarchy is made 25 containers at a time.
	{on(`POST /storage-containers/(create-hierarchy|multiple)$`), 40},
	// A container that is chosen is looked for in all shards, and its free cells are counted; some were full.
	{on(`POST /storage-containers/reserve-positions$`), shards + 12},
	// Whether a site that is taken away is in use, and whether what was made of a requirement is at odds with a change, is
	// looked for in the shards.
	{on(`PUT /collection-protocols/\{id\}$`), 2*shards + 14},
	{on(`PUT /specimen-requirements/\{id\}$`), shards + 14},
	// Several objects at once: their reads and their transaction, and the names they show.
	{on(`(PUT|PATCH|POST) .*(bulk|status|multiple|collect|/specimens$)`), 20},
	// Creates and updates: a call for each kind of thing they name (marks, records, the definition of the protocol), one or
	// two numbers, one transaction, and the names the answer shows.
	{on(`(POST|PUT|PATCH) `), 14},
	{on(`OPTIONS$`), 0},
}

// The look-up of a session is one call, and one more for whoever is not a super administrator (the sites of the institute),
// a third for who has roles (all in rights.go): stock ones may have been changed. Acting as another user adds those of the other. Basic
// credentials cost the look-up of the name, of the settings, of how many wrong passwords came from the address, and of the
// password, before; and, once a day, the note that the user was there.
const mostSession = 8

// TestMain holds what all tests have cost to the bars, when all have run.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		for _, fault := range overBars() {
			fmt.Println(fault)
			code = 1
		}
	}
	os.Exit(code)
}

func overBars() (faults []string) {
	for _, p := range slices.Sorted(maps.Keys(costs.most)) {
		i := slices.IndexFunc(bars, func(b bar) bool { return b.routes.MatchString(p) })
		if i < 0 {
			faults = append(faults, fmt.Sprintf("%s has no bar for its calls of DynamoDB", p))
		} else if costs.most[p] > bars[i].most {
			faults = append(faults, fmt.Sprintf("%s took %d calls of DynamoDB, at most %d are allowed", p, costs.most[p], bars[i].most))
		}
	}
	for n := range costs.session {
		if n > mostSession {
			faults = append(faults, fmt.Sprintf("looking up a session took %d calls of DynamoDB", n))
		}
	}
	return faults
}

func TestReadsTakeTwoCalls(t *testing.T) {
	if localtest.OnBinaries() {
		t.Skip("the calls are counted in the handler")
	}
	w := newWorld(t)
	c := w.signIn("admin", password)
	handler := tallied(w.api.Handler()) // not over the network, where an answer may come before its calls are counted
	for _, tt := range []struct {
		method, path, body string
		most               int64
	}{
		{"POST", "/institutes", `{"name":"Counting House"}`, 2},
		{"POST", "/sites", `{"name":"Abacus","instituteName":"Counting House","type":"Collection Site"}`, 4},
		{"POST", "/collection-protocols", `{"title":"Sums","shortTitle":"SUM","principalInvestigator":{"id":2},"cpSites":[{"siteName":"Abacus"}]}`, 5},
		{"POST", "/collection-protocol-events", `{"cpShortTitle":"SUM","eventLabel":"Tally","eventPoint":0,"eventPointUnit":"DAYS","defaultSite":"Abacus"}`, 8},
		{"POST", "/specimen-requirements", `{"eventId":1,"name":"Blood","specimenClass":"Fluid","type":"Plasma","initialQty":1,"storageType":"Manual","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"}`, 7},
		{"POST", "/collection-protocol-registrations", `{"cpId":1,"ppid":"S-1","registrationDate":"2026-02-01","participant":{"firstName":"Una"}}`, 5},
		{"POST", "/visits", `{"cprId":1,"eventId":1,"name":"S-1.T","visitDate":"2026-02-02","site":"Abacus","status":"Complete"}`, 8},
		{"POST", "/specimens", `{"visitId":1,"reqId":1,"label":"S-1-A","specimenClass":"Fluid","type":"Plasma","status":"Collected","lineage":"New","initialQty":1}`, 7},

		{"GET", "/institutes/2", "", 2},
		{"GET", "/sites/1", "", 2},
		{"GET", "/users/2", "", 2},
		{"GET", "/collection-protocols/1", "", 2},
		{"GET", "/collection-protocol-events/1", "", 2},
		{"GET", "/specimen-requirements/1", "", 2},
		{"GET", "/collection-protocol-registrations/1", "", 2},
		{"GET", "/visits/1", "", 2},
		{"GET", "/specimens/1", "", 2},

		{"GET", "/institutes/byname?name=counting+house", "", 2},
		{"GET", "/sites/byname?name=Abacus", "", 2},
		{"GET", "/visits/bynamespr?visitName=S-1.T", "", 2},
		{"GET", "/specimens?label=S-1-A", "", 2},
		{"HEAD", "/specimens?label=S-1-A", "", 2},
		{"GET", "/collection-protocol-registrations?cpId=1&ppid=S-1", "", 3},

		// The record, the definition of its protocol, and a transaction; before it, the marks and records of what is named anew.
		{"PUT", "/specimens/1", `{"comments":"counted"}`, 3},
		{"PUT", "/collection-protocol-registrations/1", `{"cpId":1,"ppid":"S-1","registrationDate":"2026-02-03","participant":{"firstName":"Una"}}`, 4},
		{"PUT", "/visits/1", `{"comments":"counted","site":"Abacus"}`, 6},
		{"PUT", "/institutes/2", `{"name":"Counting House of Old"}`, 4},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, base+tt.path, strings.NewReader(tt.body))
		r.Header.Set("X-OS-API-TOKEN", c.token)
		a := httptest.NewRecorder()
		if handler.ServeHTTP(a, r); a.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", tt.method, tt.path, a.Code, a.Body)
		}
		if costs.last > tt.most {
			t.Errorf("%s %s took %d calls of DynamoDB beside the session's, at most %d are allowed", tt.method, tt.path, costs.last, tt.most)
		}
	}
}
