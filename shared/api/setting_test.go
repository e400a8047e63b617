package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
)

// Settings are listed, changed and on record, and count at once.
func TestSettings(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	boss := w.newUser("boss", "INSTITUTE")
	set := func(module, name, value string) map[string]any {
		t.Helper()
		return c.must("PUT", "/config-settings", fmt.Sprintf(`{"module":%q,"name":%q,"value":%q,"opComments":"asked for"}`, module, name, value))
	}

	t.Run("list", func(t *testing.T) {
		if got := column(c.list("GET", "/config-settings?module=biospecimen", ""), "value"); got != "true,false,false" {
			t.Errorf("defaults %s", got)
		}
		if got := c.list("GET", "/config-settings?module=auth&property=allowed_failed_logins", ""); len(got) != 1 || got[0]["value"] != "5" || got[0]["dataType"] != "INT" {
			t.Errorf("%v", got)
		}
		boss.do("GET", "/config-settings", "").refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		boss.do("PUT", "/config-settings", `{"module":"auth","name":"max_login_sessions","value":1}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		for _, body := range []string{
			`{"module":"auth","name":"token_inactive_interval","value":"0"}`, `{"module":"auth","name":"verify_token_ip_address","value":"1"}`, `{"module":"auth","name":"allowed_failed_logins","value":"0"}`,
			`{"module":"auth","name":"allowed_failed_logins","value":"many"}`, `{"module":"biospecimen","name":"aliquot_qty_req","value":"perhaps"}`, `{}`,
		} {
			c.do("PUT", "/config-settings", body).refused(t, 400, "COMMON_INVALID_INPUT")
		}
		c.do("GET", "/config-settings/1/audit", "").refused(t, 400, "COMMON_INVALID_INPUT") // none was set
	})

	t.Run("registrations", func(t *testing.T) {
		reg := func(ppid, more string) answer {
			return c.do("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":%q,"registrationDate":"2022-01-01"%s}`, s.cp, ppid, more))
		}
		old := fmt.Sprintf("/collection-protocol-registrations/%v", c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":"S-0","registrationDate":"2022-01-01","participant":{}}`, s.cp))["id"])
		if set("biospecimen", "collection_site_req", "TRUE")["value"] != "true" {
			t.Error("the site is not required")
		}
		set("biospecimen", "participant_uid_req", "true")
		reg("S-1", `,"participant":{}`).refused(t, 400, "CPR_COLLECTION_SITE_REQUIRED,PARTICIPANT_UID_REQUIRED")
		reg("S-1", `,"participant":{"uid":"U-1"}`).refused(t, 400, "CPR_COLLECTION_SITE_REQUIRED")
		var made struct{ ID int64 }
		mustDecode(t, reg("S-1", `,"site":"North Biobank","participant":{"uid":"U-1"}`), &made)
		path := fmt.Sprintf("/collection-protocol-registrations/%d", made.ID)
		c.do("PUT", path, `{"site":null}`).refused(t, 400, "CPR_COLLECTION_SITE_REQUIRED")
		c.do("PUT", path, `{"participant":{"uid":""}}`).refused(t, 400, "PARTICIPANT_UID_REQUIRED")
		c.must("PUT", path, `{"externalSubjectId":"x"}`)
		c.must("PUT", old, `{"externalSubjectId":"y"}`) // which never had either
		if got := c.must("PUT", path+"/anonymize", "")["participant"].(map[string]any)["uid"]; got != nil {
			t.Errorf("an anonymous participant has the National ID %v", got)
		}
		set("biospecimen", "collection_site_req", "")
		set("biospecimen", "participant_uid_req", "false")
		c.must("PUT", path, `{"site":null,"participant":{"uid":""}}`)
	})

	t.Run("aliquots", func(t *testing.T) {
		body := fmt.Sprintf(`{"parentId":%d,"label":"SET-1","lineage":"Aliquot"}`, s.specimen)
		c.do("POST", "/specimens", body).refused(t, 400, "SPECIMEN_ALIQUOT_QTY_REQ")
		set("biospecimen", "aliquot_qty_req", "false")
		if got := c.must("POST", "/specimens", body); got["initialQty"] != nil {
			t.Errorf("the aliquot has %v", got["initialQty"])
		}
	})

	t.Run("signing in", func(t *testing.T) {
		w.newUser("plain", "NONE")
		signIn := func(login, pass string) answer {
			return w.request("POST", base+"/sessions", fmt.Sprintf(`{"loginName":%q,"password":%q}`, login, pass))
		}
		set("administrative", "system_lockdown", "true")
		signIn("plain", password).refused(t, 400, "AUTH_SYSTEM_LOCKDOWN")
		if a := signIn("admin", password); a.status != 200 {
			t.Errorf("the administrator is locked out: %s", a.body)
		}
		set("administrative", "system_lockdown", "")
		set("auth", "allowed_failed_logins", "2")
		for range 2 {
			signIn("plain", "Wrong-1").refused(t, 400, "AUTH_INVALID_CREDENTIALS")
		}
		signIn("plain", password).refused(t, 400, "AUTH_USER_LOCKED")
		w.newUser("steady", "NONE")
		set("auth", "max_login_sessions", "1")
		one, two := w.signIn("steady", password), w.signIn("steady", password)
		if one.do("GET", "/users/current-user", "").status != 401 || two.do("GET", "/users/current-user", "").status != 200 {
			t.Error("two sessions live")
		}
		set("auth", "max_login_sessions", "")
		// A session lives by the rules that it was begun under.
		set("auth", "token_inactive_interval", "5")
		set("auth", "verify_token_ip_address", "true")
		short, kept := w.signIn("boss", password), boss.do("GET", "/users/current-user", "")
		if kept.status != 200 {
			t.Fatalf("an earlier session: %d", kept.status)
		}
		elsewhere := func(token string) error {
			_, err := w.api.Guard.User(t.Context(), w.clock(), token, "198.51.100.7")
			return err
		}
		if err := elsewhere(short.token); err == nil || !strings.Contains(err.Error(), "address has changed") {
			t.Errorf("from elsewhere: %v", err)
		}
		if err := elsewhere(boss.token); err != nil {
			t.Errorf("an earlier session from elsewhere: %v", err)
		}
		w.wait(6 * time.Minute)
		if boss.do("GET", "/users/current-user", "").status != 200 {
			t.Error("the setting counts for sessions that began before it")
		}
		if !localtest.OnBinaries() && short.do("GET", "/users/current-user", "").status != 401 {
			t.Error("a session that began after it outlives the setting")
		}
		set("auth", "passwords_to_examine", "1")
		two.do("PUT", "/users/password", fmt.Sprintf(`{"oldPassword":%q,"newPassword":%q}`, password, password)).refused(t, 400, "USER_PASSWD_SAME_AS_LAST_N")
	})

	a := c.do("GET", "/config-settings/1/audit", "")
	if strings.Count(a.body, "asked for") != 13 || !strings.Contains(a.body, `"verified":true`) || !strings.Contains(a.body, `"biospecimen/aliquot_qty_req":"false"`) {
		t.Errorf("the audit: %s", a.body)
	}
	boss.do("GET", "/config-settings/1/audit", "").refused(t, 400, "RBAC_ACCESS_DENIED")
}

// A setting that is true or false may be sent as that.
func TestSettingsThatAreFlags(t *testing.T) {
	c := newWorld(t).signIn("admin", password)
	for _, flag := range []string{"true", `"false"`, "false"} {
		if got := c.must("PUT", "/config-settings", `{"module":"biospecimen","name":"aliquot_qty_req","value":`+flag+`}`)["value"]; got != strings.Trim(flag, `"`) {
			t.Errorf("%s became %v", flag, got)
		}
	}
	c.do("PUT", "/config-settings", `{"module":"biospecimen","name":"aliquot_qty_req","value":{}}`).refused(t, 400, "INVALID_REQUEST")
}
