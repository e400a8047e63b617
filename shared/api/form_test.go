package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// smoking is a definition as a client builds it, with a field of each kind.
const smoking = `{"$saved":false,"name":"smoking","caption":"Smoking History","id":null,"layouts":[],"rows":[
	[{"type":"stringTextField","name":"ST1","udn":"remarks","caption":"Remarks","labelPosition":"LEFT_SIDE","phi":false},
	 {"type":"label","name":"L1","caption":"About habits"}],
	[{"type":"combobox","name":"DD2","udn":"status","caption":"Smoking Status","mandatory":true,"pvs":[{"optionName":"Current smoker","value":"Current"},{"optionName":"Never","value":"Never"}]}],
	[{"type":"numberField","name":"NU3","udn":"packs","caption":"Packs","dataType":"FLOAT","validationRules":[]}],
	[{"type":"datePicker","name":"DT4","udn":"quitOn","caption":"Quit On","format":"MM-dd-yyyy"}],
	[{"type":"checkbox","name":"CB5","udn":"vapes","caption":"Vapes"}],
	[{"type":"multiSelectListbox","name":"MS6","udn":"brands","caption":"Brands","pvs":[{"value":"Red"},{"value":"Blue"}]}],
	[{"type":"stringTextField","name":"ST7","udn":"witness","caption":"Witness","phi":"true"}],
	[{"type":"fileUpload","name":"FU8","udn":"scan","caption":"Scan"}],
	[{"type":"subForm","name":"SF9","udn":"attempts","caption":"Attempts","rows":[[
		{"type":"numberField","name":"NU1","udn":"year","caption":"Year","dataType":"INTEGER","mandatory":true},
		{"type":"stringTextField","name":"ST2","udn":"how","caption":"How"}]]}]]}`

// newForm saves a definition under a name and returns its id.
func (c caller) newForm(name, definition string) int64 {
	c.t.Helper()
	definition = strings.Replace(definition, `"name":"smoking"`, fmt.Sprintf(`"name":%q`, name), 1)
	return int64(c.must("PUT", "/forms/-1", definition)["id"].(float64))
}

// associate associates a form and returns the association's id.
func (c caller) associate(form int64, level string, cp int64, more string) int64 {
	c.t.Helper()
	list := c.list("PUT", fmt.Sprintf("/forms/%d/contexts", form), fmt.Sprintf(`[{"level":%q,"collectionProtocol":{"id":%d}%s}]`, level, cp, more))
	return int64(list[0]["formCtxtId"].(float64))
}

func TestFormDefinitions(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	id := c.newForm("smoking", smoking)
	path := fmt.Sprintf("/forms/%d", id)

	t.Run("is returned as it was given", func(t *testing.T) {
		var want bytesOf
		want.compact(t, strings.Replace(smoking, `{"$saved":false,"name":"smoking","caption":"Smoking History","id":null`,
			fmt.Sprintf(`{"id":%d,"$saved":false,"name":"smoking","caption":"Smoking History"`, id), 1))
		for _, at := range []string{path + "/definition", path + "/definition/", "/forms/definition?name=SMOKING"} {
			if got := c.do("GET", at, ""); got.body != string(want) {
				t.Errorf("%s: %s\nwant %s", at, got.body, want)
			}
		}
		few := c.must("GET", path+"/definition?maxPvs=1", "")
		text, _ := json.Marshal(few)
		if strings.Contains(string(text), "Never") || !strings.Contains(string(text), "Current smoker") {
			t.Errorf("maxPvs=1: %s", text)
		}
	})
	t.Run("fields", func(t *testing.T) {
		a := c.do("GET", path+"/fields?prefixParentCaption=true", "")
		golden(t, "form-fields", a.body)
	})
	t.Run("permissible values", func(t *testing.T) {
		if got := column(c.list("GET", path+"/permissible-values?controlName=DD2&searchString=SMOK", ""), "value"); got != "Current" {
			t.Errorf("got %s", got)
		}
		if got := column(c.list("GET", path+"/permissible-values?controlName=status&maxResults=1", ""), "optionName"); got != "Current smoker" {
			t.Errorf("got %s", got)
		}
		for _, name := range []string{"ST1", "nothing", ""} {
			c.do("GET", path+"/permissible-values?controlName="+name, "").refused(t, 400, "FORMS_NOT_SELECT_CONTROL")
		}
	})
	t.Run("refused", func(t *testing.T) {
		for name, tt := range map[string]struct{ body, codes string }{
			"no JSON":              {`<form/>`, "INVALID_REQUEST"},
			"a list":               {`[]`, "INVALID_REQUEST"},
			"no name":              {`{"caption":"x"}`, "FORMS_NAME_REQUIRED"},
			"blank name":           {`{"name":" ","caption":"x"}`, "FORMS_NAME_REQUIRED"},
			"taken":                {`{"name":"Smoking"}`, "FORMS_DUP_NAME"},
			"rows of no arrays":    {`{"name":"x","rows":[{"type":"label"}]}`, "FORMS_INVALID_REQ"},
			"nameless control":     {`{"name":"x","rows":[[{"type":"stringTextField"}]]}`, "FORMS_INVALID_REQ"},
			"two of a name":        {`{"name":"x","rows":[[{"type":"textArea","name":"a"},{"type":"textArea","name":"a"}]]}`, "FORMS_INVALID_REQ"},
			"two of a udn":         {`{"name":"x","rows":[[{"type":"textArea","name":"a","udn":"u"},{"type":"textArea","name":"b","udn":"u"}]]}`, "FORMS_INVALID_REQ"},
			"name of the record's": {`{"name":"x","rows":[[{"type":"textArea","name":"appData"}]]}`, "FORMS_INVALID_REQ"},
			"pvs of arrays":        {`{"name":"x","rows":[[{"type":"combobox","name":"a","pvs":[[1]]}]]}`, "FORMS_INVALID_REQ"},
			"date format":          {`{"name":"x","rows":[[{"type":"datePicker","name":"a","format":"02 nonsense MM MMMMM"}]]}`, "FORMS_INVALID_REQ"},
			"too deep":             {`{"name":"x","rows":[[{"type":"subForm","name":"a","rows":[[{"type":"subForm","name":"a","rows":[[{"type":"subForm","name":"a","rows":[[{"type":"subForm","name":"a"}]]}]]}]]}]]}`, "FORMS_INVALID_REQ"},
			"too large":            {`{"name":"x","caption":"` + strings.Repeat("y", 301<<10) + `"}`, "FORMS_INVALID_REQ"},
		} {
			a := c.do("PUT", "/forms/-1", tt.body)
			if a.status != 400 || a.codes(t) != tt.codes {
				t.Errorf("%s: %d %.300s, want %s", name, a.status, a.body, tt.codes)
			}
		}
		c.do("PUT", "/forms/one", smoking).refused(t, 400, "INVALID_REQUEST")
		c.do("PUT", "/forms/9999", smoking).refused(t, 400, "FORMS_NOT_FOUND")
		c.do("GET", "/forms/9999/definition", "").refused(t, 400, "FORMS_NOT_FOUND")
		c.do("GET", "/forms/definition?name=", "").refused(t, 400, "FORMS_NOT_FOUND")
		c.do("GET", "/forms/definition?name="+strings.Repeat("n", 5000), "").refused(t, 400, "FORMS_NOT_FOUND")
		c.do("GET", path+"/definition?maxPvs=some", "").refused(t, 400, "INVALID_REQUEST")
	})
	t.Run("changes and names", func(t *testing.T) {
		other := c.newForm("diet", smoking)
		c.do("PUT", fmt.Sprintf("/forms/%d", other), `{"name":"SMOKING"}`).refused(t, 400, "FORMS_DUP_NAME")
		c.must("PUT", fmt.Sprintf("/forms/%d", other), `{"name":"nutrition","caption":"Nutrition","rows":[]}`)
		if got := c.must("GET", "/forms/definition?name=nutrition", ""); got["caption"] != "Nutrition" || got["id"] != float64(other) {
			t.Errorf("got %v", got)
		}
		c.do("GET", "/forms/definition?name=diet", "").refused(t, 400, "FORMS_NOT_FOUND")
		again := c.newForm("diet", smoking)
		if a := c.do("DELETE", fmt.Sprintf("/forms/%d", again), ""); a.body != "true" {
			t.Errorf("%d %s", a.status, a.body)
		}
		c.do("DELETE", fmt.Sprintf("/forms/%d", again), "").refused(t, 400, "FORMS_NOT_FOUND")
		c.do("GET", fmt.Sprintf("/forms/%d/definition", again), "").refused(t, 400, "FORMS_NOT_FOUND")
		c.newForm("diet", smoking) // the name is free
		entries := c.must("GET", fmt.Sprintf("/forms/%d/audit", other), "")
		if list := entries["entries"].([]any); entries["verified"] != true || len(list) != 2 {
			t.Errorf("audit: %v", entries)
		}
	})
	t.Run("a large definition fits", func(t *testing.T) {
		large := `{"name":"large","caption":"` + strings.Repeat("y", 200) + `","notes":"` + strings.Repeat("z", 290<<10) + `"}`
		big := c.must("PUT", "/forms/-1", large)["id"].(float64)
		c.must("PUT", fmt.Sprintf("/forms/%v", big), strings.Replace(large, "zz", "yz", 1))
	})
	t.Run("several at once, all or none", func(t *testing.T) {
		a, b := c.newForm("one", smoking), c.newForm("two", smoking)
		c.do("DELETE", fmt.Sprintf("/forms?id=%d&id=99999", a), "").refused(t, 400, "FORMS_NOT_FOUND")
		c.must("GET", fmt.Sprintf("/forms/%d/definition", a), "")
		if got := c.do("DELETE", fmt.Sprintf("/forms?id=%d,%d", a, b), ""); got.body != "true" {
			t.Errorf("%d %s", got.status, got.body)
		}
		c.do("DELETE", "/forms", "").refused(t, 400, "INVALID_REQUEST")
	})
}

// bytesOf is JSON without space.
type bytesOf []byte

func (b *bytesOf) compact(t *testing.T, text string) {
	t.Helper()
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	d, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	*b = d
}

func TestFormAssociations(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	smoke, diet := c.newForm("smoking", smoking), c.newForm("diet", smoking)
	first := c.associate(smoke, "Participant", s.cp, `,"multiRecord":true,"sortOrder":2`)
	c.associate(smoke, "Specimen", -1, "")
	c.associate(diet, "SpecimenExtension", s.cp, "")

	t.Run("one form of custom fields for a level and protocol", func(t *testing.T) {
		c.do("PUT", fmt.Sprintf("/forms/%d/contexts", smoke), fmt.Sprintf(`[{"level":"SpecimenExtension","collectionProtocol":{"id":%d}}]`, s.cp)).
			refused(t, 400, "FORMS_MULTIPLE_CTXS_NOT_ALLOWED")
		c.associate(smoke, "SpecimenExtension", -1, "")
		if a := c.do("DELETE", fmt.Sprintf("/forms/%d/contexts?entityType=SpecimenExtension&cpId=-1", smoke), ""); a.body != `{"status":true}` {
			t.Errorf("%d %s", a.status, a.body)
		}
		c.do("DELETE", fmt.Sprintf("/forms/%d/contexts?entityType=SpecimenExtension&cpId=-1", smoke), "").refused(t, 400, "FORMS_NO_ASSOCIATION")
		c.associate(diet, "SpecimenExtension", -1, "")
	})
	t.Run("made again it is the same", func(t *testing.T) {
		if again := c.associate(smoke, "Participant", s.cp, `,"multiRecord":false`); again != first {
			t.Errorf("another association: %d and %d", first, again)
		}
		got := c.list("GET", fmt.Sprintf("/forms/%d/contexts", smoke), "")
		if column(got, "level") != "Participant,Specimen" || column(got, "multiRecord") != "false,false" || column(got, "sortOrder") != "<nil>,<nil>" {
			t.Errorf("got %v", got)
		}
		cp := got[0]["collectionProtocol"].(map[string]any)
		if cp["shortTitle"] != "INV" || got[1]["collectionProtocol"].(map[string]any)["id"] != -1.0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("of a protocol", func(t *testing.T) {
		got := c.list("GET", fmt.Sprintf("/collection-protocols/%d/forms", s.cp), "")
		if column(got, "level") != "Participant,Specimen,SpecimenExtension,SpecimenExtension" {
			t.Errorf("got %v", got)
		}
		got = c.list("GET", fmt.Sprintf("/collection-protocols/%d/forms?entityType=Participant&entityType=Specimen", s.cp), "")
		if column(got, "formName") != "smoking,smoking" {
			t.Errorf("got %v", got)
		}
		c.do("GET", "/collection-protocols/77/forms", "").refused(t, 400, "CP_NOT_FOUND")
	})
	t.Run("refused", func(t *testing.T) {
		for body, codes := range map[string]string{
			`{}`:                    "INVALID_REQUEST",
			`[{}]`:                  "FORMS_ENTITY_TYPE_REQUIRED",
			`[{"level":"Kitchen"}]`: "FORMS_INVALID_FORM_CTXT",
			`[{"level":"SiteExtension","collectionProtocol":{"id":1}}]`:       "FORMS_INVALID_FORM_CTXT",
			`[{"level":"Specimen","entityId":1}]`:                             "FORMS_INVALID_FORM_CTXT",
			`[{"level":"User","entityId":99}]`:                                "INSTITUTE_NOT_FOUND",
			`[{"level":"Specimen","collectionProtocol":{"id":99}}]`:           "CP_NOT_FOUND",
			`[{"level":"Specimen","collectionProtocol":{"shortTitle":"NO"}}]`: "CP_NOT_FOUND",
			`[{"level":"Visit"},{"level":"Participant"}]`:                     "FORMS_INVALID_FORM_CTXT",
			`[{"level":"SpecimenEvent"},{"level":"SpecimenEvent"}]`:           "FORMS_INVALID_FORM_CTXT",
			`[{"level":"SpecimenEvent","collectionProtocol":"INV"}]`:          "INVALID_REQUEST",
		} {
			a := c.do("PUT", fmt.Sprintf("/forms/%d/contexts", smoke), body)
			if a.status != 400 || a.codes(t) != codes {
				t.Errorf("%s: %d %s, want %s", body, a.status, a.body, codes)
			}
		}
		c.do("PUT", "/forms/999/contexts", `[{"level":"Specimen"}]`).refused(t, 400, "FORMS_NOT_FOUND")
		c.do("DELETE", fmt.Sprintf("/forms/%d/contexts?cpId=-1", smoke), "").refused(t, 400, "FORMS_ENTITY_TYPE_REQUIRED")
		c.do("DELETE", fmt.Sprintf("/forms/%d/contexts?entityType=Specimen&cpId=x", smoke), "").refused(t, 400, "INVALID_REQUEST")
	})
	t.Run("lists", func(t *testing.T) {
		for query, want := range map[string]string{
			"":                                  "diet,smoking",
			"?name=SMOKING&formType=Specimen":   "smoking",
			"?name=iet":                         "diet",
			"?formType=Specimen":                "smoking",
			"?formType=SpecimenExtension":       "diet",
			"?formType=Specimen&cpId=1":         "smoking",
			"?formType=SpecimenExtension&cpId=": "diet",
			"?formType=SiteExtension":           "",
			"?cpId=-1":                          "diet,smoking",
			"?maxResults=1&startAt=1":           "smoking",
		} {
			if got := column(c.list("GET", "/forms"+query, ""), "name"); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		one := c.list("GET", "/forms?formType=Specimen&includeStats=true", "")[0]
		if one["associations"] != 2.0 || one["entityType"] != "Specimen" || one["cpId"] != -1.0 || one["createdBy"] == nil {
			t.Errorf("got %v", one)
		}
		if got := c.must("GET", "/forms/count?name=d", ""); got["count"] != 1.0 {
			t.Errorf("count: %v", got)
		}
		c.do("GET", "/forms?cpId=all", "").refused(t, 400, "INVALID_REQUEST")
		c.do("GET", "/forms?maxResults=None", "").refused(t, 400, "INVALID_REQUEST")
	})
	t.Run("end with the form", func(t *testing.T) {
		c.do("DELETE", fmt.Sprintf("/forms/%d", diet), "")
		if got := c.list("GET", fmt.Sprintf("/collection-protocols/%d/forms", s.cp), ""); column(got, "formName") != "smoking,smoking" {
			t.Errorf("got %v", got)
		}
		c.associate(smoke, "SpecimenExtension", s.cp, "")
	})
	t.Run("only for who manages forms", func(t *testing.T) {
		tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
		tech.do("PUT", "/forms/-1", smoking).refused(t, 400, "RBAC_ACCESS_DENIED")
		tech.do("PUT", fmt.Sprintf("/forms/%d", smoke), smoking).refused(t, 400, "RBAC_ACCESS_DENIED")
		tech.do("DELETE", fmt.Sprintf("/forms/%d", smoke), "").refused(t, 400, "RBAC_ACCESS_DENIED")
		tech.do("PUT", fmt.Sprintf("/forms/%d/contexts", smoke), `[{"level":"SpecimenEvent"}]`).refused(t, 400, "RBAC_ACCESS_DENIED")
		tech.do("DELETE", fmt.Sprintf("/forms/%d/contexts?entityType=Specimen&cpId=-1", smoke), "").refused(t, 400, "RBAC_ACCESS_DENIED")
		tech.do("GET", fmt.Sprintf("/forms/%d/audit", smoke), "").refused(t, 400, "RBAC_ACCESS_DENIED")
		c.must("POST", "/users", `{"firstName":"F","lastName":"M","emailAddress":"fm@example.org","domainName":"openspecimen","loginName":"fm","instituteName":"Default Institute","manageForms":true}`)
		if err := w.api.Guard.SetPassword(t.Context(), int64(c.list("GET", "/users?loginName=fm", "")[0]["id"].(float64)), "fm", password); err != nil {
			t.Fatal(err)
		}
		fm := w.signIn("fm", password)
		id := fm.newForm("mine", smoking)
		fm.associate(id, "SpecimenEvent", -1, "")
		fm.do("PUT", fmt.Sprintf("/forms/%d/contexts", id), fmt.Sprintf(`[{"level":"Specimen","collectionProtocol":{"id":%d}}]`, s.cp)).refused(t, 400, "RBAC_ACCESS_DENIED")
		if got := fm.list("GET", fmt.Sprintf("/forms/%d/contexts", smoke), ""); column(got, "level") != "Specimen" {
			t.Errorf("associations with protocols that the caller may not see: %v", got)
		}
	})
}

func TestFormRecords(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	form := c.newForm("smoking", smoking)
	fc := c.associate(form, "SpecimenCollectionGroup", s.cp, `,"multiRecord":true`)
	data := fmt.Sprintf("/forms/%d/data", form)
	app := fmt.Sprintf(`"appData":{"formCtxtId":%d,"objectId":%d}`, fc, s.visit)
	rec := c.must("POST", "/forms//"+fmt.Sprint(form)+"/data/", `{`+app+`,"ST1":"  some  ","DD2":"CURRENT SMOKER","NU3":"1.50","DT4":"02-24-2021","CB5":"yes",
		"MS6":["blue","Red","Blue"],"ST7":"Ada Canary","SF9":[{"NU1":2001,"ST2":"gum"},{}],"unknown":1}`)
	id := int64(rec["id"].(float64))
	path := fmt.Sprintf("%s/%d", data, id)

	t.Run("values are canonical", func(t *testing.T) {
		want := map[string]any{
			"ST1": "some", "DD2": "Current", "NU3": 1.5, "DT4": 1614124800000.0, "CB5": true, "MS6": []any{"Blue", "Red"}, "ST7": "Ada Canary",
			"SF9": []any{map[string]any{"NU1": 2001.0, "ST2": "gum"}},
		}
		got := c.must("GET", path, "")
		delete(got, "id")
		if a := got["appData"].(map[string]any); a["formCtxtId"] != float64(fc) || a["objectId"] != float64(s.visit) || a["formStatus"] != "COMPLETE" {
			t.Errorf("appData %v", a)
		}
		delete(got, "appData")
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		got = c.must("GET", path+"?includeUdn=true&includeMetadata=true", "")
		if got["status"] != "Current" || got["attempts"].([]any)[0].(map[string]any)["how"] != "gum" {
			t.Errorf("by udn: %v", got)
		}
		fields := got["appData"].(map[string]any)["fields"].([]any)
		if f := fields[1].(map[string]any); f["displayValue"] != "Current smoker" || f["caption"] != "Smoking Status" {
			t.Errorf("metadata: %v", fields)
		}
		if f := fields[3].(map[string]any); f["displayValue"] != "02-24-2021" {
			t.Errorf("metadata: %v", f)
		}
	})
	t.Run("update replaces", func(t *testing.T) {
		got := c.must("PUT", data, fmt.Sprintf(`{"recordId":%d,"appData":{"formCtxtId":%d,"objectId":"%d","useUdn":true,"formStatus":"draft"},"packs":2,"quitOn":1614171600000}`, id, fc, s.visit))
		if got["packs"] != 2.0 || got["quitOn"] != 1614124800000.0 || got["remarks"] != nil || got["appData"].(map[string]any)["formStatus"] != "DRAFT" {
			t.Errorf("got %v", got)
		}
		entries := c.must("GET", path+"/audit", "")
		if list := entries["entries"].([]any); entries["verified"] != true || len(list) != 2 {
			t.Errorf("audit: %v", entries)
		}
		c.must("PUT", data, fmt.Sprintf(`{"id":%d,"appData":{"formCtxtId":%d,"objectId":"%d","useUdn":true,"formStatus":"draft"},"packs":"2.0","quitOn":"2021-02-24"}`, id, fc, s.visit))
		if list := c.must("GET", path+"/audit", "")["entries"].([]any); len(list) != 2 {
			t.Errorf("nothing changed, but the audit has %d entries", len(list))
		}
	})
	t.Run("refused", func(t *testing.T) {
		before := w.records(t, c, s.visit)
		for body, codes := range map[string]string{
			`{}`: "FORMS_CTXT_ID_REQ",
			fmt.Sprintf(`{"appData":{"formCtxtId":%d}}`, fc):                    "FORMS_OBJ_ID_REQ",
			fmt.Sprintf(`{"appData":{"formCtxtId":99,"objectId":%d}}`, s.visit): "FORMS_INVALID_FORM_CTXT",
			fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":99}}`, fc):      "VISIT_NOT_FOUND",
			`{"appData":{"formCtxtId":"x","objectId":99}}`:                      "INVALID_REQUEST",
			`{"appData":7}`:                                                          "INVALID_REQUEST",
			`{` + app + `}`:                                                          "FORMS_INVALID_DATA", // mandatory
			`{` + app + `,"id":7,"DD2":"Never"}`:                                     "FORMS_REC_ID_SPECIFIED_FOR_CREATE",
			`{` + app + `,"DD2":"Sometimes"}`:                                        "FORMS_INVALID_DATA,FORMS_INVALID_DATA",
			`{` + app + `,"DD2":["Never"]}`:                                          "FORMS_INVALID_DATA,FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","NU3":"many"}`:                               "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","NU3":true}`:                                 "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","DT4":"24.02.2021"}`:                         "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","DT4":"99999999999999999"}`:                  "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","CB5":"maybe"}`:                              "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","MS6":["Green"]}`:                            "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","MS6":{"a":1}}`:                              "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","SF9":"x"}`:                                  "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","SF9":[{"NU1":1.5}]}`:                        "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","SF9":[{"ST2":"no year"}]}`:                  "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","ST1":{"a":1}}`:                              "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","ST1":"` + strings.Repeat("x", 16001) + `"}`: "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","FU8":"x.pdf"}`:                              "FORMS_INVALID_DATA",
			`{` + app + `,"DD2":"Never","FU8":{"fileId":"77"}}`:                      "FORMS_FILE_NOT_FOUND",
			fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d,"formStatus":"HALF"},"DD2":"Never"}`, fc, s.visit): "FORMS_INV_DATA_STATUS",
		} {
			a := c.do("POST", data, body)
			if a.status != 400 || a.codes(t) != codes {
				t.Errorf("%.200s: %d %.300s, want %s", body, a.status, a.body, codes)
			}
		}
		for body, codes := range map[string]string{
			`{` + app + `,"DD2":"Never"}`:                                              "FORMS_INVALID_REC_ID",
			`{` + app + `,"DD2":"Never","id":999}`:                                     "FORMS_REC_NOT_FOUND",
			fmt.Sprintf(`{"id":%d,"appData":{"formCtxtId":%d,"objectId":77}}`, id, fc): "VISIT_NOT_FOUND",
		} {
			a := c.do("PUT", data, body)
			if a.status != 400 || a.codes(t) != codes {
				t.Errorf("%s: %d %s, want %s", body, a.status, a.body, codes)
			}
		}
		c.do("POST", "/forms/999/data", `{`+app+`}`).refused(t, 400, "FORMS_NOT_FOUND")
		c.do("GET", data+"/999", "").refused(t, 400, "FORMS_REC_NOT_FOUND")
		c.do("GET", fmt.Sprintf("/forms/999/data/%d", id), "").refused(t, 400, "FORMS_REC_NOT_FOUND")
		if after := w.records(t, c, s.visit); after != before {
			t.Errorf("something was written: %s, was %s", after, before)
		}
	})
	t.Run("another form's association", func(t *testing.T) {
		other := c.newForm("diet", smoking)
		c.do("POST", fmt.Sprintf("/forms/%d/data", other), `{`+app+`,"DD2":"Never"}`).refused(t, 400, "FORMS_INVALID_FORM_CTXT")
		custom := c.associate(other, "VisitExtension", s.cp, "")
		c.do("POST", fmt.Sprintf("/forms/%d/data", other), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d}}`, custom, s.visit)).refused(t, 400, "FORMS_OP_NOT_ALLOWED")
		c.must("POST", "/collection-protocols", `{"shortTitle":"OTH","title":"Another","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}]}`)
		elsewhere := c.associate(other, "SpecimenCollectionGroup", s.cp+1, "")
		c.do("POST", fmt.Sprintf("/forms/%d/data", other), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"DD2":"Never"}`, elsewhere, s.visit)).refused(t, 400, "FORMS_NO_ASSOCIATION")
	})
	t.Run("once only", func(t *testing.T) {
		single := c.newForm("once", smoking)
		one := c.associate(single, "Specimen", -1, "")
		body := fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"DD2":"Never"}`, one, s.specimen)
		first := c.must("POST", fmt.Sprintf("/forms/%d/data", single), body)
		c.do("POST", fmt.Sprintf("/forms/%d/data", single), body).refused(t, 400, "FORMS_MULTIPLE_RECS_NOT_ALLOWED")
		if a := c.do("DELETE", fmt.Sprintf("/forms/%d/data/%v", single, first["id"]), ""); a.body != fmt.Sprint(first["id"]) {
			t.Errorf("%d %s", a.status, a.body)
		}
		c.do("DELETE", fmt.Sprintf("/forms/%d/data/%v", single, first["id"]), "").refused(t, 400, "FORMS_REC_NOT_FOUND")
		c.do("GET", fmt.Sprintf("/forms/%d/data/%v", single, first["id"]), "").refused(t, 400, "FORMS_REC_NOT_FOUND")
		c.must("POST", fmt.Sprintf("/forms/%d/data", single), body)
	})
	t.Run("lists", func(t *testing.T) {
		w.wait(time.Second)
		second := c.must("POST", data, `{`+app+`,"DD2":"Never"}`)
		got := c.list("GET", fmt.Sprintf("/forms/%d/records?objectId=%d&entityType=SpecimenCollectionGroup", form, s.visit), "")
		if column(got, "recordId") != fmt.Sprintf("%d,%v", id, second["id"]) || column(got, "formStatus") != "DRAFT,COMPLETE" || got[0]["fieldValues"] != nil {
			t.Errorf("records: %v", got)
		}
		latest := c.list("GET", fmt.Sprintf("/forms/%d/latest-records?objectId=%d&entityType=SpecimenCollectionGroup", form, s.visit), "")
		if column(latest, "id") != fmt.Sprint(second["id"]) {
			t.Errorf("latest: %v", latest)
		}
		lists := c.list("GET", fmt.Sprintf("/visits/%d/extension-records", s.visit), "")
		if len(lists) != 1 || lists[0]["caption"] != "Smoking History" || len(lists[0]["records"].([]any)) != 2 {
			t.Errorf("extension records: %v", lists)
		}
		forms := c.list("GET", fmt.Sprintf("/visits/%d/forms", s.visit), "")
		if column(forms, "noOfRecords") != "2" || column(forms, "formCtxtId") != fmt.Sprint(fc) {
			t.Errorf("forms: %v", forms)
		}
		of := c.must("GET", fmt.Sprintf("/visits/%d/forms/%d/records", s.visit, fc), "")
		if len(of["records"].([]any)) != 2 || of["formId"] != float64(form) {
			t.Errorf("records of an association: %v", of)
		}
		if got := c.list("GET", fmt.Sprintf("/specimens/%d/forms?entityType=Specimen", s.specimen), ""); column(got, "formName") != "once" {
			t.Errorf("forms of a specimen: %v", got)
		}
		if got := c.list("GET", fmt.Sprintf("/collection-protocol-registrations/%d/extension-records", s.registration), ""); len(got) != 0 {
			t.Errorf("records of those below: %v", got)
		}
		for path, codes := range map[string]string{
			fmt.Sprintf("/forms/%d/records?objectId=%d", form, s.visit):                          "FORMS_ENTITY_TYPE_REQUIRED",
			fmt.Sprintf("/forms/%d/records?entityType=Specimen", form):                           "FORMS_OBJ_ID_REQ",
			fmt.Sprintf("/forms/%d/records?objectId=%d&entityType=Nothing", form, s.visit):       "FORMS_INVALID_FORM_CTXT",
			fmt.Sprintf("/forms/%d/records?objectId=7&entityType=SpecimenCollectionGroup", form): "VISIT_NOT_FOUND",
			fmt.Sprintf("/forms/%d/records?objectId=x&entityType=Specimen", form):                "INVALID_REQUEST",
			fmt.Sprintf("/forms/%d/latest-records?entityType=Specimen", form):                    "FORMS_OBJ_ID_REQ",
			fmt.Sprintf("/visits/%d/forms/999/records", s.visit):                                 "FORMS_INVALID_FORM_CTXT",
			"/visits/999/forms": "VISIT_NOT_FOUND",
		} {
			a := c.do("GET", path, "")
			if a.status != 400 || a.codes(t) != codes {
				t.Errorf("%s: %d %s, want %s", path, a.status, a.body, codes)
			}
		}
	})
	t.Run("events of a specimen", func(t *testing.T) {
		event := c.newForm("thawing", smoking)
		at := c.associate(event, "SpecimenEvent", s.cp, `,"multiRecord":true`)
		before := len(c.list("GET", fmt.Sprintf("/specimens/%d/events", s.specimen), ""))
		c.must("POST", fmt.Sprintf("/forms/%d/data", event), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"DD2":"Never","ST7":"Ada Canary"}`, at, s.specimen))
		got := c.list("GET", fmt.Sprintf("/specimens/%d/events", s.specimen), "")
		if len(got) != before+1 || got[before]["name"] != "thawing" || len(got[before]["records"].([]any)[0].(map[string]any)["fieldValues"].([]any)) != 2 {
			t.Errorf("events: %v", got)
		}
		if a := w.newUser("bench", "NONE", biobank.Grant{ID: 1, Role: "Technician"}).do("GET", fmt.Sprintf("/specimens/%d/events", s.specimen), ""); a.status != http.StatusOK || strings.Contains(a.body, "Ada Canary") || !strings.Contains(a.body, "thawing") {
			t.Errorf("masked: %d %s", a.status, a.body)
		}
	})
	t.Run("what identifies a person", func(t *testing.T) {
		c.must("PUT", data, fmt.Sprintf(`{"recordId":%d,%s,"DD2":"Never","ST7":"Ada Canary"}`, id, app))
		tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
		for _, at := range []string{path, path + "?includeMetadata=true", path + "/audit", fmt.Sprintf("/visits/%d/extension-records", s.visit)} {
			if a := tech.do("GET", at, ""); a.status != http.StatusOK || strings.Contains(a.body, "Canary") {
				t.Errorf("%s: %d %s", at, a.status, a.body)
			}
		}
		tech.do("PUT", data, fmt.Sprintf(`{"recordId":%d,%s,"DD2":"Never","ST7":"Eve"}`, id, app)).refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
		tech.do("PUT", data, fmt.Sprintf(`{"recordId":%d,%s,"DD2":"Never","ST7":"Ada Canary"}`, id, app)).refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
		tech.must("PUT", data, fmt.Sprintf(`{"recordId":%d,%s,"DD2":"Current","ST7":null}`, id, app))
		if got := c.must("GET", path, ""); got["ST7"] != "Ada Canary" || got["DD2"] != "Current" {
			t.Errorf("what the technician could not see was lost: %v", got)
		}
		if strings.Contains(w.logged(), "Canary") {
			t.Error("a value is in the log")
		}
	})
	t.Run("rights are those of the object", func(t *testing.T) {
		stranger := w.newUser("stranger", "NONE")
		reader := w.newUser("reader", "NONE", biobank.Grant{ID: 1, Role: "Researcher"})
		stranger.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		stranger.do("GET", path+"/audit", "").refused(t, 400, "RBAC_ACCESS_DENIED")
		stranger.do("GET", fmt.Sprintf("/visits/%d/extension-records", s.visit), "").refused(t, 400, "RBAC_ACCESS_DENIED")
		reader.must("GET", path, "")
		for _, who := range []caller{stranger, reader} {
			who.do("POST", data, `{`+app+`,"DD2":"Never"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
			who.do("PUT", data, fmt.Sprintf(`{"recordId":%d,%s,"DD2":"Never"}`, id, app)).refused(t, 400, "RBAC_ACCESS_DENIED")
			who.do("DELETE", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		}
	})
	t.Run("go with their object and form", func(t *testing.T) {
		c.must("DELETE", fmt.Sprintf("/visits/%d?forceDelete=true", s.visit), "")
		c.do("GET", path, "").refused(t, 400, "FORMS_REC_NOT_FOUND")
		c.do("DELETE", path, "").refused(t, 400, "FORMS_REC_NOT_FOUND")
		c.do("GET", fmt.Sprintf("/visits/%d/extension-records", s.visit), "").refused(t, 400, "VISIT_NOT_FOUND")
		c.do("DELETE", fmt.Sprintf("/forms/%d", form), "")
		c.do("GET", path, "").refused(t, 400, "FORMS_NOT_FOUND")
	})
}

// records counts a visit's records.
func (w *world) records(t *testing.T, c caller, visit int64) string {
	t.Helper()
	return c.do("GET", fmt.Sprintf("/visits/%d/extension-records", visit), "").body
}

func TestFormsOfUsersAndParticipants(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	form := c.newForm("smoking", smoking)
	mate, other := w.newUser("mate", "NONE"), w.newUser("other", "NONE")
	mateID := int64(c.list("GET", "/users?loginName=mate", "")[0]["id"].(float64))
	save := func(who caller, fc, object int64) answer {
		return who.do("POST", fmt.Sprintf("/forms/%d/data", form), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"DD2":"Never","ST7":"x"}`, fc, object))
	}
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	user, profile := c.associate(form, "User", -1, `,"entityId":2`), c.associate(form, "UserProfile", -1, `,"multiRecord":true`)
	save(mate, c.associate(form, "User", -1, ""), mateID).refused(t, 400, "RBAC_ACCESS_DENIED")
	save(other, profile, mateID).refused(t, 400, "RBAC_ACCESS_DENIED")
	if a := save(mate, profile, mateID); a.status != http.StatusOK {
		t.Errorf("own profile: %d %s", a.status, a.body)
	}
	save(c, user, mateID).refused(t, 400, "FORMS_NO_ASSOCIATION") // of another institute
	if got := mate.list("GET", fmt.Sprintf("/users/%d/forms?entityType=UserProfile", mateID), ""); column(got, "noOfRecords") != "1" {
		t.Errorf("forms: %v", got)
	}
	if got := mate.list("GET", fmt.Sprintf("/users/%d/extension-records", mateID), ""); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
	other.do("GET", fmt.Sprintf("/users/%d/extension-records", mateID), "").refused(t, 400, "RBAC_ACCESS_DENIED")

	reg := c.must("GET", fmt.Sprintf("/collection-protocol-registrations/%d", s.registration), "")
	person := int64(reg["participant"].(map[string]any)["id"].(float64))
	common, own := c.associate(form, "CommonParticipant", -1, ""), c.associate(form, "Participant", -1, `,"multiRecord":true`)
	save(c, common, person)
	save(c, own, s.registration)
	if got := c.list("GET", fmt.Sprintf("/forms/%d/latest-records?entityType=CommonParticipant&objectId=%d", form, person), ""); len(got) != 1 {
		t.Errorf("of the participant: %v", got)
	}
	save(c, common, 999).refused(t, 400, "PARTICIPANT_NOT_FOUND")
	// The person is one in all protocols: the record is found by way of each registration.
	c.must("POST", "/collection-protocols", `{"shortTitle":"OTH","title":"Another","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}]}`)
	again := c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpShortTitle":"OTH","ppid":"O-1","registrationDate":"2022-01-01","participant":{"id":%d}}`, person))
	if got := c.list("GET", fmt.Sprintf("/collection-protocol-registrations/%v/extension-records", again["id"]), ""); len(got) != 1 {
		t.Errorf("of the other registration: %v", got)
	}
	c.must("DELETE", fmt.Sprintf("/collection-protocol-registrations/%d?forceDelete=true", s.registration), "")
	if got := c.list("GET", fmt.Sprintf("/forms/%d/latest-records?entityType=CommonParticipant&objectId=%d", form, person), ""); len(got) != 1 {
		t.Errorf("of the participant, whose first registration is deleted: %v", got)
	}
	s.registration = int64(again["id"].(float64))
	save(c, own, s.registration)
	if got := c.list("GET", fmt.Sprintf("/forms/%d/records?entityType=Participant&objectId=%d", form, s.registration), ""); len(got) != 1 {
		t.Errorf("of the registration: %v", got)
	}
}

func TestFormFiles(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	form := c.newForm("smoking", smoking)
	fc := c.associate(form, "Specimen", s.cp, "")
	var up map[string]any
	mustDecode(t, c.uploadTo("/form-files", "file", "scan one.html", "<b>hello</b>"), &up)
	if up["filename"] != "scan one.html" {
		t.Errorf("got %v", up)
	}
	value, err := json.Marshal(up)
	if err != nil {
		t.Fatal(err)
	}
	rec := c.must("POST", fmt.Sprintf("/forms/%d/data", form), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"DD2":"Never","FU8":%s}`, fc, s.specimen, value))
	if d := cmp.Diff(any(up), rec["FU8"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, path := range []string{"/form-files?fileId=", "/form-files/"} {
		a := c.do("GET", path+up["fileId"].(string), "")
		if a.status != http.StatusOK || a.body != "<b>hello</b>" || a.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %d %q %v", path, a.status, a.body, a.header)
		}
	}
	link := c.must("POST", "/form-files/upload-url", `{"filename":"large.pdf"}`)
	if link["method"] != "PUT" || link["fileId"] == "" || link["url"] == "" {
		t.Errorf("got %v", link)
	}
	c.do("GET", "/form-files/"+link["fileId"].(string), "").refused(t, 400, "FORMS_FILE_NOT_FOUND") // not uploaded yet
	c.do("GET", "/form-files?fileId=../jobs", "").refused(t, 400, "FORMS_FILE_NOT_FOUND")
	c.do("POST", "/form-files", "x").refused(t, 400, "INVALID_REQUEST")
	guest := w.newUser("guest", "NONE")
	guest.do("POST", "/form-files/upload-url", `{"filename":"large.pdf"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	guest.uploadTo("/form-files", "file", "x.pdf", "x").refused(t, 400, "RBAC_ACCESS_DENIED")
}
