package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// One that cannot be deleted keeps all the others that a request names, forced or not.
func TestRefusedBulkDeletionsDeleteNothing(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	id := func(v map[string]any) int64 { return int64(v["id"].(float64)) }
	user := id(c.must("POST", "/users", `{"firstName":"A","lastName":"B","emailAddress":"b@example.org","domainName":"openspecimen",
		"loginName":"b","instituteName":"Default Institute"}`))
	site := id(c.must("POST", "/sites", `{"name":"East","instituteName":"Default Institute","type":"Laboratory"}`))
	institute := id(c.must("POST", "/institutes", `{"name":"Other"}`))
	kind := id(c.must("POST", "/container-types", `{"name":"Crate","nameFormat":"%PCONT_NAME%-%PCONT_UID%","noOfRows":2,"noOfColumns":2}`))
	box := id(c.must("POST", "/storage-containers", `{"name":"Box","siteName":"East","noOfRows":2,"noOfColumns":2}`))
	dp := id(c.must("POST", "/distribution-protocols", `{"title":"To give","shortTitle":"DP","instituteName":"Default Institute",
		"principalInvestigator":{"id":2},"startDate":"2022-01-01","distributingSites":{"Default Institute":[]}}`))
	for path, tt := range map[string]struct {
		id   int64
		code string
	}{
		"/institutes": {institute, "INSTITUTE_NOT_FOUND"}, "/sites": {site, "SITE_NOT_FOUND"}, "/users": {user, "USER_NOT_FOUND"},
		"/container-types": {kind, "CONTAINER_TYPE_NOT_FOUND"}, "/storage-containers": {box, "STORAGE_CONTAINER_NOT_FOUND"},
		"/distribution-protocols":            {dp, "DP_NOT_FOUND"},
		"/specimens":                         {s.specimen, "SPECIMEN_NOT_FOUND"},
		"/collection-protocol-registrations": {s.registration, "CPR_M_NOT_FOUND"},
		"/collection-protocols":              {s.cp, "CP_NOT_FOUND"},
	} {
		for _, also := range []string{"", "&forceDelete=true"} {
			a := c.do("DELETE", fmt.Sprintf("%s?id=%d&id=98765%s", path, tt.id, also), "")
			if a.status != 400 || !strings.Contains(a.codes(t), tt.code) {
				t.Errorf("%s%s: %d %s", path, also, a.status, a.body)
			}
			if a := c.do("GET", fmt.Sprintf("%s/%d", path, tt.id), ""); a.status != 200 {
				t.Errorf("%s%s: the other one is gone: %s", path, also, a.body)
			}
		}
	}
	t.Run("of a protocol that somebody else has", func(t *testing.T) {
		tech := w.newUser("tech", "NONE")
		tech.do("DELETE", fmt.Sprintf("/collection-protocols?id=%d&forceDelete=true", s.cp), "").refused(t, 400, "RBAC_ACCESS_DENIED")
		c.must("GET", fmt.Sprintf("/specimens/%d", s.aliquot), "")
	})
	t.Run("a specimen and its own child", func(t *testing.T) {
		got := c.list("DELETE", fmt.Sprintf("/specimens?id=%d&id=%d", s.specimen, s.aliquot), "")
		if column(got, "activityStatus") != "Disabled,Disabled" || fmt.Sprint(got[0]["id"]) != fmt.Sprint(s.specimen) {
			t.Errorf("deleted: %v", got)
		}
	})
}
