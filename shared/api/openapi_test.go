package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"aliquot/shared/api"
)

// contract holds answers to the document of the API.
type contract struct {
	mux      *http.ServeMux // finds the route of a path
	document any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema
}

const documentURL = "https://aliquot.invalid/openapi.json"

var theContract = sync.OnceValues(func() (*contract, error) {
	text, err := api.Document()
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	k := &contract{mux: http.NewServeMux(), document: doc, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	for _, p := range api.Patterns() {
		k.mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {})
	}
	return k, k.compiler.AddResource(documentURL, doc)
})

// pattern finds the route that serves a path, "" for none.
func (k *contract) pattern(method, at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	clean := strings.TrimPrefix(path.Clean("/"+u.Path), "/openspecimen")
	below, ok := strings.CutPrefix(clean, "/rest/ng")
	if !ok {
		return ""
	}
	r := &http.Request{Method: method, URL: &url.URL{Path: strings.Replace(below, "/byid/", "/", 1)}}
	_, pattern := k.mux.Handler(r)
	return pattern
}

// at compiles the schema at a JSON pointer of the document; nil when there is none.
func (k *contract) at(pointer ...string) (*jsonschema.Schema, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	here := k.document
	fragment := ""
	for _, name := range pointer {
		members, _ := here.(map[string]any)
		here = members[name]
		fragment += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	if here == nil {
		return nil, nil
	}
	if s := k.schemas[fragment]; s != nil {
		return s, nil
	}
	s, err := k.compiler.Compile(documentURL + "#" + fragment)
	k.schemas[fragment] = s
	return s, err
}

// check holds an answer to the document.
func (k *contract) check(t *testing.T, method, at string, a answer) {
	t.Helper()
	pattern := k.pattern(method, at)
	if pattern == "" || method == http.MethodHead || method == http.MethodOptions {
		return
	}
	verb, route, _ := strings.Cut(pattern, " ")
	var s *jsonschema.Schema
	var err error
	switch {
	case a.status == http.StatusOK && strings.HasPrefix(a.header.Get("Content-Type"), "application/json"):
		s, err = k.at("paths", strings.ReplaceAll(route, "...}", "}"), strings.ToLower(verb), "responses", "200", "content", "application/json", "schema")
	case a.status == http.StatusSeeOther:
		s, err = k.at("components", "schemas", "Elsewhere")
	case a.status >= 400:
		s, err = k.at("components", "schemas", "Faults")
	default:
		return
	}
	if err != nil {
		t.Errorf("%s: %v", pattern, err)
		return
	}
	if s == nil {
		t.Errorf("%s answers with JSON; the document does not say so", pattern)
		return
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err != nil {
		t.Errorf("%s %s: %v: %.200q", method, at, err, a.body)
		return
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%s %s is not answered as the document says: %v\n%.1000s", method, at, err, a.body)
	}
}

// Every route says what it is for and what it answers.
func TestEveryRouteIsDescribed(t *testing.T) {
	for _, pattern := range api.Undescribed() {
		t.Errorf("%s has no summary or no answers", pattern)
	}
}

// The document is served at the root and below the prefixes to anybody, has each route and nothing else, and its
// references lead somewhere.
func TestDocument(t *testing.T) {
	w := newWorld(t)
	root := w.request("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary, OperationID string
			Responses            map[string]any
		}
	}
	mustDecode(t, root, &doc)
	for _, prefix := range []string{base, "/rest/ng"} {
		if below := w.request("GET", prefix+"/openapi.json", ""); below.body != root.body {
			t.Errorf("another document below %s: %d", prefix, below.status)
		}
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	served := map[string]bool{}
	for _, pattern := range api.Patterns() {
		verb, path, _ := strings.Cut(pattern, " ")
		path = strings.ReplaceAll(path, "...}", "}")
		served[verb+" "+path] = true
		if doc.Paths[path][strings.ToLower(verb)].Responses["200"] == nil {
			t.Errorf("%s is not in the document", pattern)
		}
	}
	ids := map[string]string{}
	for path, verbs := range doc.Paths {
		for verb, op := range verbs {
			here := strings.ToUpper(verb) + " " + path
			if !served[here] {
				t.Errorf("the document has %s, which is not served", here)
			}
			if other := ids[op.OperationID]; other != "" {
				t.Errorf("%s and %s have one operationId", here, other)
			}
			ids[op.OperationID] = here
		}
	}
	k, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs(k.document, nil) {
		var pointer []string
		for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			pointer = append(pointer, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
		if s, err := k.at(pointer...); s == nil || err != nil {
			t.Errorf("%s leads nowhere: %v", ref, err)
		}
	}
}

// refs lists the references of a JSON value.
func refs(v any, all []string) []string {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			all = append(all, ref)
		}
		for _, member := range v {
			all = refs(member, all)
		}
	case []any:
		for _, item := range v {
			all = refs(item, all)
		}
	}
	return all
}

// A bare document, of the shortest way through: a create, its parameters and its answer.
func TestDocumentTellsWhatIsRead(t *testing.T) {
	text, err := api.Document()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In string
				Schema   struct{ Type string }
			}
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Properties map[string]struct{ Type any }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, p := range doc.Paths["/sites"]["get"].Parameters {
		kinds[p.Name] = p.Schema.Type
	}
	for name, want := range map[string]string{"name": "array", "exactMatch": "boolean", "startAt": "integer", "institute": "string", "includeStats": "boolean"} {
		if kinds[name] != want {
			t.Errorf("GET /sites: %s is %q, want %q", name, kinds[name], want)
		}
	}
	members := doc.Paths["/specimens"]["post"].RequestBody.Content["application/json"].Schema.Properties
	for name, want := range map[string]string{"label": "string", "initialQty": "number", "visitId": "integer", "biohazards": "array", "collectionEvent": "object"} {
		if members[name].Type != want {
			t.Errorf("POST /specimens: %s is %v, want %q", name, members[name].Type, want)
		}
	}
}
