package api_test

import (
	"fmt"
	"testing"
)

// reasons are those of the entries of an audit, oldest first.
func (c caller) reasons(path string) string {
	c.t.Helper()
	audit := c.must("GET", path+"/audit", "")
	if audit["verified"] != true {
		c.t.Errorf("the audit is %v", audit)
	}
	var list []map[string]any
	for _, e := range audit["entries"].([]any) {
		list = append(list, e.(map[string]any))
	}
	return column(list, "reason")
}

func TestReasonsOfForms(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	const definition = `{"name":"%s","caption":"%s","opComments":"%s","rows":[[{"type":"stringTextField","name":"ST1","udn":"%s","caption":"Remarks"}]]}`
	saved := func(id int64, name, caption, reason, field string) int64 {
		return int64(c.must("PUT", fmt.Sprintf("/forms/%d", id), fmt.Sprintf(definition, name, caption, reason, field))["id"].(float64))
	}
	form := saved(-1, "a", "First", "asked for", "remarks")
	saved(form, "a", "Second", "a slip", "remarks")
	path := fmt.Sprintf("/forms/%d", form)
	if got := c.reasons(path); got != "asked for,a slip" {
		t.Errorf("the reasons are %s", got)
	}
	if got, is := c.must("GET", path+"/definition", "")["opComments"]; is {
		t.Errorf("the form says %v", got)
	}
	c.do("PUT", path, `{"name":"a","caption":"Third","opComments":{"a":1}}`).refused(t, 400, "INVALID_REQUEST")

	context := c.associate(form, "SpecimenCollectionGroup", s.cp, `,"multiRecord":true`)
	rec := c.record("POST", form, context, s.visit, `,"opComments":"as told"`, `,"remarks":"1"`)
	c.record("PUT", form, context, s.visit, fmt.Sprintf(`,"recordId":%d,"opComments":"misread"`, rec), `,"remarks":"2"`)
	if got := c.reasons(fmt.Sprintf("%s/data/%d", path, rec)); got != "as told,misread" {
		t.Errorf("the reasons are %s", got)
	}

	// A form may have a field of that name.
	own := saved(-1, "b", "Own", "", "opComments")
	rec = c.record("POST", own, c.associate(own, "SpecimenCollectionGroup", s.cp, ""), s.visit, "", `,"opComments":"a value"`)
	at := fmt.Sprintf("/forms/%d/data/%d", own, rec)
	if got := c.reasons(at); got != "<nil>" {
		t.Errorf("the reasons are %s", got)
	}
	if got := c.must("GET", at+"?includeUdn=true", "")["opComments"]; got != "a value" {
		t.Errorf("the field has %v", got)
	}
}

// record saves a record of a form about an object, with more members of appData and with fields, and returns its id.
func (c caller) record(method string, form, context, object int64, app, fields string) int64 {
	c.t.Helper()
	body := fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d,"useUdn":true%s}%s}`, context, object, app, fields)
	return idOf(c.must(method, fmt.Sprintf("/forms/%d/data", form), body))
}
