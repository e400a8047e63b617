package api_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestDistributionProtocols(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	const whole = `{"title":"Some receivers","shortTitle":"SR","instituteName":"Default Institute","defReceivingSiteName":"North Biobank",
		"principalInvestigator":{"loginName":"admin"},"coordinators":[{"id":2}],"distributingSites":{"Elsewhere":["South"],"Default Institute":[]},
		"startDate":"2020-01-01","endDate":1893456000000,"irbId":"IRB-7","disableEmailNotifs":true,"attachmentType":"CSV"}`
	a := c.do("POST", "/distribution-protocols", whole)
	golden(t, "distribution", a.body)
	made := map[string]any{}
	mustDecode(t, a, &made)
	same(t, "read again", made, c.must("GET", "/distribution-protocols/1", ""), nil)

	with := func(from, to string) string { return strings.Replace(whole, from, to, 1) }
	other := strings.NewReplacer("Some receivers", "Others", `"SR"`, `"OT"`).Replace(whole)
	for body, code := range map[string]string{
		`{}`:                             "DP_INSTITUTE_REQUIRED,DP_PI_REQUIRED,DP_DISTRIBUTING_SITES_REQUIRED,DP_TITLE_REQUIRED,DP_SHORT_TITLE_REQUIRED",
		whole:                            "DP_DUP_TITLE",
		with("Some receivers", "Others"): "DP_DUP_SHORT_TITLE",
		strings.Replace(other, `"Default Institute","def`, `"Nobody","def`, 1):       "INSTITUTE_NOT_FOUND",
		strings.Replace(other, `"Default Institute","def`, `"Elsewhere","def`, 1):    "DP_INVALID_RECEIVING_SITE,DP_PI_DOES_NOT_BELONG_TO_INST",
		strings.Replace(other, "North Biobank", "Nowhere", 1):                        "SITE_NOT_FOUND",
		strings.Replace(other, `"loginName":"admin"`, `"id":99`, 1):                  "USER_NOT_FOUND",
		strings.Replace(other, `["South"]`, `["North Biobank"]`, 1):                  "DP_INVALID_DISTRIBUTING_SITES",
		strings.Replace(other, `"Elsewhere":`, `"Nobody":`, 1):                       "DP_INVALID_DISTRIBUTING_SITES",
		strings.Replace(other, `"Elsewhere":["South"]`, `"default institute":[]`, 1): "DP_INVALID_DISTRIBUTING_SITES",
		strings.Replace(other, `["South"]`, `"South"`, 1):                            "INVALID_REQUEST",
		strings.Replace(other, "2020-01-01", "2031-01-01", 1):                        "COMMON_INVALID_INPUT",
		strings.Replace(other, `"irbId"`, `"activityStatus":"Disabled","irbId"`, 1):  "ACTIVITY_STATUS_INVALID",
	} {
		c.do("POST", "/distribution-protocols", body).refused(t, 400, code)
	}
	second := c.must("POST", "/distribution-protocols", strings.Replace(other, "1893456000000", `"2021-01-01"`, 1))["id"]

	for query, want := range map[string]string{
		"": "OT,SR", "?query=oth": "OT", "?title=some": "SR", "?piId=2": "OT,SR", "?piId=3": "", "?irbId=irb": "OT,SR", "?receivingInstitute=elsewhere": "",
		"?receivingInstitute=Default+Institute": "OT,SR", "?receivingSite=North+Biobank": "OT,SR", "?receivingSite=South": "", "?cp=INV": "OT,SR", "?cp=NONE": "",
		"?excludeExpiredDps=true": "SR", "?activityStatus=Closed": "", "?maxResults=1&startAt=1": "SR",
	} {
		if got := column(c.list("GET", "/distribution-protocols"+query, ""), "shortTitle"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := c.must("GET", "/distribution-protocols/count?query=oth", "")["count"]; got != 1.0 {
		t.Errorf("count is %v", got)
	}

	got := c.must("PUT", "/distribution-protocols/1", `{"id":9,"title":"Renamed","shortTitle":"SR","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Elsewhere":["South"]}}`)
	same(t, "replaced", made, got, map[string]any{
		"title": "Renamed", "defReceivingSiteName": nil, "coordinators": []any{}, "distributingSites": map[string]any{"Elsewhere": []any{"South"}},
		"startDate": nil, "endDate": nil, "irbId": nil, "disableEmailNotifs": false, "attachmentType": nil,
	})
	c.do("PUT", "/distribution-protocols/9", whole).refused(t, 400, "DP_NOT_FOUND")
	c.do("PUT", "/distribution-protocols/1/activity-status", `{}`).refused(t, 400, "ACTIVITY_STATUS_INVALID")
	c.do("PUT", "/distribution-protocols/1/activity-status", `{"activityStatus":"Asleep"}`).refused(t, 400, "ACTIVITY_STATUS_INVALID")
	if got := c.must("PUT", "/distribution-protocols/1/activity-status", `{"activityStatus":"closed"}`); got["activityStatus"] != "Closed" || got["title"] != "Renamed" {
		t.Errorf("closed is %v", got)
	}
	c.do("DELETE", "/sites/2", "").refused(t, 400, "SITE_REF_ENTITY_FOUND")
	if got := column(c.list("GET", "/institutes/2/dependent-entities", ""), "name"); got != "distribution_protocol,site" {
		t.Errorf("the institute has %s", got)
	}

	t.Run("consent tiers", func(t *testing.T) {
		path := "/distribution-protocols/1/consent-tiers"
		tier := c.must("POST", path, `{"statementCode":"A","statement":"May be given away"}`)
		same(t, "tier", tier, map[string]any{"id": tier["id"], "dpId": 1.0, "statementId": tier["id"], "statementCode": "A", "statement": "May be given away"}, nil)
		for body, code := range map[string]string{
			`{}`: "CONSENT_STATEMENT_REQUIRED", `{"statement":"may be given away"}`: "DP_DUP_CONSENT", `{"statement":"B","statementCode":"a"}`: "DP_DUP_CONSENT",
		} {
			c.do("POST", path, body).refused(t, 400, code)
		}
		one := fmt.Sprintf("%s/%v", path, tier["id"])
		c.do("PUT", one, `{}`).refused(t, 400, "CONSENT_STATEMENT_REQUIRED")
		c.do("PUT", path+"/99", `{"statement":"B"}`).refused(t, 400, "DP_CONSENT_TIER_NOT_FOUND")
		c.do("DELETE", path+"/99", "").refused(t, 400, "DP_CONSENT_TIER_NOT_FOUND")
		c.must("PUT", one, `{"statement":"May be sold"}`)
		c.must("PUT", "/distribution-protocols/1", `{"title":"Renamed","shortTitle":"SR","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Elsewhere":["South"]}}`)
		if got := column(c.list("GET", path, ""), "statement"); got != "May be sold" {
			t.Errorf("the tiers are %s", got)
		}
		if got := c.must("DELETE", one, ""); got["statement"] != "May be sold" || len(c.list("GET", path, "")) != 0 {
			t.Errorf("deleted is %v", got)
		}
		boss := w.newUser("boss", "INSTITUTE")
		boss.do("POST", path, `{"statement":"B"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
		boss.do("PUT", one, `{"statement":"B"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
		boss.do("DELETE", one, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	})

	if got := c.must("DELETE", "/distribution-protocols/1?reason=over", ""); got["activityStatus"] != "Disabled" || !strings.HasPrefix(got["shortTitle"].(string), "SR_") {
		t.Errorf("deleted is %v", got)
	}
	c.do("GET", "/distribution-protocols/1", "").refused(t, 400, "DP_NOT_FOUND")
	third := c.must("POST", "/distribution-protocols", whole)["id"] // the names are free
	if got := column(c.list("DELETE", fmt.Sprintf("/distribution-protocols?id=%v,%v", second, third), ""), "activityStatus"); got != "Disabled,Disabled" {
		t.Errorf("deleted are %s", got)
	}
}

// Rights at some sites do not reach a distribution protocol that gives from others, too.
func TestWhoChangesADistributionProtocol(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"North","instituteName":"Default Institute","type":"Repository"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	boss := w.newUser("boss", "INSTITUTE")
	dp := func(sites string) string {
		return fmt.Sprintf(`{"title":"T","shortTitle":"T","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{%s}}`, sites)
	}
	boss.do("POST", "/distribution-protocols", dp(`"Elsewhere":[]`)).refused(t, 400, "RBAC_ACCESS_DENIED")
	boss.do("POST", "/distribution-protocols", dp(`"Elsewhere":["South"],"Default Institute":["North"]`)).refused(t, 400, "RBAC_ACCESS_DENIED")
	boss.must("POST", "/distribution-protocols", dp(`"Default Institute":[]`))
	boss.do("PUT", "/distribution-protocols/1", dp(`"Elsewhere":["South"],"Default Institute":["North"]`)).refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("PUT", "/distribution-protocols/1", dp(`"Elsewhere":["South"],"Default Institute":["North"]`))
	boss.must("GET", "/distribution-protocols/1", "")
	boss.do("PUT", "/distribution-protocols/1", dp(`"Default Institute":["North"]`)).refused(t, 400, "RBAC_ACCESS_DENIED")
	boss.do("DELETE", "/distribution-protocols/1", "").refused(t, 400, "RBAC_ACCESS_DENIED")
	boss.do("DELETE", "/distribution-protocols?id=1", "").refused(t, 400, "RBAC_ACCESS_DENIED")
}
