package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// attrs are the values of an extensionDetail by udn, nil where there is none.
func attrs(v map[string]any) map[string]any {
	e, ok := v["extensionDetail"].(map[string]any)
	if !ok {
		return nil
	}
	out := map[string]any{}
	for _, a := range e["attrs"].([]any) {
		attr := a.(map[string]any)
		out[attr["udn"].(string)] = attr["value"]
	}
	return out
}

// Each object takes custom fields with it when it is made and changed, and shows them: as a list, or as a map.
func TestCustomFields(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	levels := map[string]string{
		"/sites": "SiteExtension", "/collection-protocols": "CollectionProtocolExtension", "/visits": "VisitExtension",
		"/specimens": "SpecimenExtension", "/collection-protocol-registrations": "ParticipantExtension",
		"/storage-containers": "StorageContainerExtension", "/distribution-protocols": "DistributionProtocolExtension",
		"/distribution-orders": "OrderExtension",
	}
	c.must("POST", "/distribution-protocols", `{"title":"Receivers","shortTitle":"DP","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
	for path, level := range levels {
		if a := c.do("GET", path+"/extension-form", ""); a.body != "{}" {
			t.Errorf("%s without a form: %d %s", path, a.status, a.body)
		}
		form := c.newForm(strings.ToLower(level), smoking)
		c.associate(form, level, -1, "")
		if got := c.must("GET", path+"/extension-form?cpId="+fmt.Sprint(s.cp), ""); got["formId"] != float64(form) {
			t.Errorf("%s: the form is %v", path, got)
		}
	}
	c.do("GET", "/visits/extension-form?cpId=99", "").refused(t, 400, "CP_NOT_FOUND")
	c.do("GET", "/visits/extension-form?cpId=x", "").refused(t, 400, "INVALID_REQUEST")

	const list = `"extensionDetail":{"attrs":[{"name":"DD2","value":"never"},{"udn":"packs","value":"2.50"},{"udn":"attempts","value":[[{"name":"year","value":2001}]]}]}`
	const fields = `"extensionDetail":{"useUdn":true,"attrsMap":{"status":"CURRENT","quitOn":"02-24-2021","brands":["red"],"witness":"Ada Canary"}}`
	first := map[string]any{"status": "Never", "packs": 2.5, "attempts": []any{[]any{map[string]any{
		"name": "NU1", "udn": "year", "caption": "Year", "value": 2001.0, "type": "numberField", "displayValue": "2001",
	}}}}
	second := map[string]any{"status": "Current", "quitOn": 1614124800000.0, "brands": []any{"Red"}, "witness": "Ada Canary"}
	both := map[string]any{}
	for _, m := range []map[string]any{first, second} {
		for k, v := range m {
			both[k] = v
		}
	}
	for name, tt := range map[string]struct {
		path, body string
		patches    bool
		in         func(string) string // the object that the fields belong to
		of         func(map[string]any) map[string]any
	}{
		"site":         {path: "/sites", body: `"name":"Field Site","instituteName":"Default Institute","type":"Laboratory",`},
		"protocol":     {path: "/collection-protocols", body: `"shortTitle":"FLD","title":"Fields","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],`},
		"container":    {path: "/storage-containers", body: `"name":"Field Box","siteName":"North Biobank",`},
		"dp":           {path: "/distribution-protocols", body: `"title":"Fields","shortTitle":"FDP","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]},`},
		"order":        {path: "/distribution-orders", body: `"name":"Fields","distributionProtocol":{"shortTitle":"DP"},"requester":{"id":2},"status":"PENDING",`},
		"visit":        {path: "/visits", body: fmt.Sprintf(`"cprId":%d,"name":"INV-1.B.7","site":"North Biobank",`, s.registration)},
		"specimen":     {path: "/specimens", body: fmt.Sprintf(`"visitId":%d,"label":"F-1","type":"Whole Blood",`, s.visit), patches: true},
		"registration": {path: "/collection-protocol-registrations", body: `"cpShortTitle":"INV","ppid":"F-1","registrationDate":"2022-01-01",`, patches: true},
	} {
		t.Run(name, func(t *testing.T) {
			wrap := func(ext string) string { return "{" + tt.body + ext + "}" }
			of := func(v map[string]any) map[string]any { return attrs(v) }
			if name == "registration" {
				wrap = func(ext string) string {
					return "{" + tt.body + `"participant":{` + strings.TrimSuffix(ext, ",") + `}}`
				}
				of = func(v map[string]any) map[string]any { return attrs(v["participant"].(map[string]any)) }
			}
			check := func(what string, v, want map[string]any) {
				t.Helper()
				if d := cmp.Diff(want, of(v)); d != "" {
					t.Errorf("%s (-want +got):\n%s", what, d)
				}
			}
			made := c.must("POST", tt.path, wrap(list))
			path := fmt.Sprintf("%s/%v", tt.path, made["id"])
			check("made", made, first)
			check("read", c.must("GET", path, ""), first)
			changed := c.must("PUT", path, wrap(fields))
			if tt.patches {
				check("patched", changed, both)
				check("patched without fields", c.must("PUT", path, wrap(`"x":1`)), both)
			} else {
				check("replaced", changed, second)
			}
			a := c.do("PUT", path, wrap(`"extensionDetail":{"attrs":[{"name":"nothing","value":1}]}`))
			if codes := a.codes(t); a.status != 400 || !strings.HasPrefix(codes, "FORMS_INVALID_DATA") {
				t.Errorf("unknown field: %d %s", a.status, a.body)
			}
			c.do("PUT", path, wrap(`"extensionDetail":{"attrs":[{"name":"packs","value":"many"},{"name":"status","value":"Never"}]}`)).refused(t, 400, "FORMS_INVALID_DATA")
			c.do("PUT", path, wrap(`"extensionDetail":{"dataEntryStatus":"HALF","attrsMap":{"status":"Never"}}`)).refused(t, 400, "FORMS_INV_DATA_STATUS")
			c.do("PUT", path, wrap(`"extensionDetail":7`)).refused(t, 400, "INVALID_REQUEST")
			c.do("PUT", path, wrap(`"extensionDetail":{"attrs":[{"value":7}]}`)).codes(t)
			if !tt.patches {
				c.do("PUT", path, wrap(`"extensionDetail":{"attrsMap":{"packs":1}}`)).refused(t, 400, "FORMS_INVALID_DATA") // mandatory
				draft := c.must("PUT", path, wrap(`"extensionDetail":{"dataEntryStatus":"DRAFT","attrsMap":{"packs":1}}`))
				check("draft", draft, map[string]any{"packs": 1.0})
				if draft["extensionDetail"].(map[string]any)["dataEntryStatus"] != "DRAFT" {
					t.Errorf("draft: %v", draft["extensionDetail"])
				}
			}
			check("cleared", c.must("PUT", path, wrap(`"extensionDetail":null`)), nil)
		})
	}
}

func TestCustomFieldsOfAProtocol(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	c.do("PUT", path, `{"extensionDetail":{"attrsMap":{"status":"Never"}}}`).refused(t, 400, "FORMS_NO_ASSOCIATION")
	all, own := c.newForm("all", smoking), c.newForm("own", strings.Replace(smoking, `"caption":"Smoking History"`, `"caption":"Own Form"`, 1))
	c.associate(all, "SpecimenExtension", -1, "")
	c.must("PUT", path, `{"extensionDetail":{"attrsMap":{"status":"Never"}}}`)
	c.associate(own, "SpecimenExtension", s.cp, "")
	got := c.must("GET", path, "")["extensionDetail"].(map[string]any)
	if got["formCaption"] != "Smoking History" || got["id"] != float64(s.specimen) || got["objectId"] != float64(s.specimen) {
		t.Errorf("the values are of the form they were entered in: %v", got)
	}
	got = c.must("PUT", path, `{"extensionDetail":{"attrsMap":{"status":"Current","witness":"Ada Canary"}}}`)["extensionDetail"].(map[string]any)
	if got["formCaption"] != "Own Form" {
		t.Errorf("the protocol's own form comes first: %v", got)
	}
	t.Run("what identifies a person", func(t *testing.T) {
		tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
		for _, at := range []string{path, path + "/audit"} {
			if a := tech.do("GET", at, ""); a.status != http.StatusOK || strings.Contains(a.body, "Canary") {
				t.Errorf("%s: %d %s", at, a.status, a.body)
			}
		}
		if got := attrs(tech.must("GET", path, "")); got["witness"] != nil || got["status"] != "Current" {
			t.Errorf("got %v", got)
		}
		tech.do("PUT", path, `{"extensionDetail":{"attrsMap":{"witness":"Eve"}}}`).refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
		tech.do("PUT", path, `{"extensionDetail":{"attrsMap":{"witness":"Ada Canary"}}}`).refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
		tech.must("PUT", path, `{"extensionDetail":{"attrsMap":{"status":"Never","witness":null}}}`)
		tech.must("PUT", path, `{"extensionDetail":null}`)
		if got := attrs(c.must("GET", path, "")); got["witness"] != "Ada Canary" {
			t.Errorf("what the technician could not see was lost: %v", got)
		}
		if strings.Contains(w.logged(), "Canary") {
			t.Error("a value is in the log")
		}
	})
	t.Run("another form's values", func(t *testing.T) {
		c.do("PUT", path, fmt.Sprintf(`{"extensionDetail":{"formId":%d,"attrsMap":{"status":"Never"}}}`, all)).refused(t, 400, "FORMS_NO_ASSOCIATION")
	})
	t.Run("a deleted form shows nothing", func(t *testing.T) {
		c.do("DELETE", fmt.Sprintf("/forms/%d", own), "")
		if got := c.must("GET", path, ""); got["extensionDetail"] != nil {
			t.Errorf("got %v", got["extensionDetail"])
		}
	})
	t.Run("in trees", func(t *testing.T) {
		form := c.newForm("visits", smoking)
		c.associate(form, "VisitExtension", s.cp, "")
		got := c.must("POST", "/visits/collect", fmt.Sprintf(`{"visit":{"cprId":%d,"name":"INV-1.B.9","site":"North Biobank","extensionDetail":{"attrsMap":{"status":"Never"}}},
			"specimens":[{"type":"Whole Blood","label":"T-1","initialQty":1,"extensionDetail":{"attrsMap":{"status":"Current"}}}]}`, s.registration))
		if got := attrs(got["visit"].(map[string]any)); got["status"] != "Never" {
			t.Errorf("visit: %v", got)
		}
		if got := attrs(got["specimens"].([]any)[0].(map[string]any)); got["status"] != "Current" {
			t.Errorf("specimen: %v", got)
		}
	})
}

// A container's fields are patched like the rest of it; orders of a distribution protocol have its own form, where it names
// one.
func TestCustomFieldsOfStorage(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	w.newFreezer(c)
	c.associate(c.newForm("boxes", smoking), "StorageContainerExtension", -1, "")
	box := fmt.Sprintf("/storage-containers/%v", c.must("GET", "/storage-containers/byname?name=Box", "")["id"])
	c.must("PATCH", box, `{"extensionDetail":{"attrsMap":{"status":"Never"}}}`)
	got := c.must("PATCH", box, `{"extensionDetail":{"attrsMap":{"packs":2}}}`)
	if d := cmp.Diff(map[string]any{"status": "Never", "packs": 2.0}, attrs(got)); d != "" || at(got) != "Freezer 11" {
		t.Errorf("patched (-want +got):\n%s", d)
	}
	if got := attrs(c.list("GET", "/storage-containers?name=Box", "")[0]); got["status"] != "Never" {
		t.Errorf("in a list: %v", got)
	}
	if got := attrs(c.list("POST", box+"/replica", `{"destinations":[{"name":"Box 2","siteName":"North Biobank"}]}`)[0]); got["status"] != "Never" {
		t.Errorf("a replica: %v", got)
	}

	own := c.newForm("own", strings.Replace(smoking, `"caption":"Smoking History"`, `"caption":"Own Form"`, 1))
	const dp = `{"title":"Receivers","shortTitle":"DP","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]},"orderItemLabelFormat":"DP-%SYS_UID%","orderExtnForm":`
	c.do("POST", "/distribution-protocols", dp+`{"formId":99}}`).refused(t, 400, "FORMS_NOT_FOUND")
	c.do("POST", "/distribution-protocols", dp+`{"name":"nothing"}}`).refused(t, 400, "FORMS_NOT_FOUND")
	c.do("POST", "/distribution-protocols", dp+`7}`).refused(t, 400, "INVALID_REQUEST")
	made := c.must("POST", "/distribution-protocols", dp+`{"name":"own"}}`)
	path := fmt.Sprintf("/distribution-protocols/%v", made["id"])
	if form := made["orderExtnForm"].(map[string]any); form["formId"] != float64(own) || made["orderItemLabelFormat"] != "DP-%SYS_UID%" {
		t.Errorf("the form of orders is %v, the format %v", form, made["orderItemLabelFormat"])
	}
	if got := c.must("GET", path+"/order-extension-form", ""); got["formId"] != float64(own) {
		t.Errorf("the form of orders is %v", got)
	}
	order := c.must("POST", "/distribution-orders", `{"name":"First","distributionProtocol":{"shortTitle":"DP"},"requester":{"id":2},"status":"PENDING","extensionDetail":{"attrsMap":{"status":"Current"}}}`)
	if e := order["extensionDetail"].(map[string]any); e["formCaption"] != "Own Form" || attrs(order)["status"] != "Current" {
		t.Errorf("the fields of the order: %v", e)
	}
	c.must("PUT", path, strings.Replace(dp, `,"orderExtnForm":`, "}", 1))
	if a := c.do("GET", path+"/order-extension-form", ""); a.body != "{}" {
		t.Errorf("without a form: %s", a.body)
	}
	c.do("PUT", fmt.Sprintf("/distribution-orders/%v", order["id"]), `{"name":"First","distributionProtocol":{"shortTitle":"DP"},"requester":{"id":2},"status":"PENDING","extensionDetail":{"attrsMap":{"status":"Never"}}}`).
		refused(t, 400, "FORMS_NO_ASSOCIATION")
}
