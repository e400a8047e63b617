package api_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

const newcomer = `{"firstName":"New","lastName":"Comer","emailAddress":"new@example.org","domainName":"openspecimen","loginName":"newcomer",
	"instituteName":"Default Institute","type":"SUPER","activityStatus":"Active","manageForms":true,"dropFolder":true}`

func TestSignUp(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.request("POST", base+"/users/sign-up", newcomer).refused(t, http.StatusBadRequest, "USER_SIGN_UP_NOT_ALLOWED")
	localtest.HandlerOnly(t)
	w.api.SignUp = true
	w.request("POST", base+"/users/sign-up", `{}`).refused(t, http.StatusBadRequest,
		"USER_FIRST_NAME_REQUIRED,USER_LAST_NAME_REQUIRED,USER_EMAIL_REQUIRED,USER_DOMAIN_NAME_REQUIRED,USER_LOGIN_NAME_REQUIRED,USER_INST_REQUIRED")
	var made map[string]any
	mustDecode(t, w.request("POST", base+"/users/sign-up", newcomer), &made)
	for name, want := range map[string]any{"type": "NONE", "activityStatus": "Pending", "manageForms": false} {
		if made[name] != want {
			t.Errorf("%s is %v, want %v", name, made[name], want)
		}
	}
	w.request("POST", base+"/users/sign-up", newcomer).refused(t, http.StatusBadRequest, "USER_DUP_EMAIL")
	path := fmt.Sprintf("/users/%v", made["id"])
	token := c.must("POST", path+"/reset-token", "")["resetPasswordToken"]
	set := fmt.Sprintf(`{"loginName":"newcomer","resetPasswordToken":%q,"newPassword":"Invented-7"}`, token)
	if a := w.request("POST", base+"/users/reset-password", set); a.body != "true" {
		t.Fatal(a.body)
	}
	enter := `{"loginName":"newcomer","password":"Invented-7"}`
	w.request("POST", base+"/sessions", enter).refused(t, http.StatusBadRequest, "AUTH_INVALID_CREDENTIALS")
	c.must("PUT", path+"/activity-status", `{"activityStatus":"Active"}`)
	w.signIn("newcomer", "Invented-7")
	c.do("PUT", path+"/activity-status", `{"activityStatus":"Pending"}`).refused(t, http.StatusBadRequest, "USER_STATUS_CHANGE_NOT_ALLOWED")
}

func TestResetPassword(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	plain := w.newUser("plain", "NONE")
	w.request("POST", base+"/users/forgot-password", `{"loginName":"plain"}`).refused(t, http.StatusBadRequest, "USER_FORGOT_PASSWD_DISABLED")
	reset := func(login, token, fresh string) answer {
		return w.request("POST", base+"/users/reset-password", fmt.Sprintf(`{"loginName":%q,"resetPasswordToken":%q,"newPassword":%q}`, login, token, fresh))
	}
	first := c.must("POST", "/users/3/reset-token", "")["resetPasswordToken"].(string)
	token := c.must("POST", "/users/3/reset-token", "")["resetPasswordToken"].(string)
	for name, tt := range map[string]struct{ login, token, fresh, code string }{
		"an earlier token":  {"plain", first, "Invented-8", "USER_INVALID_PASSWD_TOKEN"},
		"no token":          {"plain", "", "Invented-8", "USER_INVALID_PASSWD_TOKEN"},
		"another's":         {"admin", token, "Invented-8", "USER_INVALID_PASSWD_TOKEN"},
		"nobody's":          {"nobody", token, "Invented-8", "USER_INVALID_PASSWD_TOKEN"},
		"too weak":          {"plain", token, "short", "USER_PASSWD_VIOLATES_RULES"},
		"none was asked of": {"", "x", "Invented-8", "USER_INVALID_PASSWD_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			reset(tt.login, tt.token, tt.fresh).refused(t, http.StatusBadRequest, tt.code)
		})
	}
	if a := reset("plain", token, "Invented-8"); a.body != "true" {
		t.Fatal(a.body)
	}
	reset("plain", token, "Invented-9").refused(t, http.StatusBadRequest, "USER_INVALID_PASSWD_TOKEN")
	plain.do("GET", "/users/current-user", "").refused(t, http.StatusUnauthorized, "AUTH_INVALID_TOKEN")
	w.signIn("plain", "Invented-8")
	late := c.must("POST", "/users/3/reset-token", "")["resetPasswordToken"].(string)
	localtest.HandlerOnly(t)
	w.wait(24 * time.Hour)
	reset("plain", late, "Invented-9").refused(t, http.StatusBadRequest, "USER_INVALID_PASSWD_TOKEN")
	if strings.Contains(w.logged(), token) {
		t.Error("the log holds a token")
	}
}

func TestUIState(t *testing.T) {
	w := newWorld(t)
	c, other := w.signIn("admin", password), w.newUser("plain", "NONE")
	c.must("PUT", "/users/current-user-ui-state", `{"cp":{"tab":3},"authToken":"x"}`)
	want := map[string]any{"cp": map[string]any{"tab": 3.0}, "authToken": c.token}
	if diff := cmp.Diff(want, c.must("GET", "/users/current-user-ui-state", "")); diff != "" {
		t.Error(diff)
	}
	if got := other.must("GET", "/users/current-user-ui-state", ""); len(got) != 1 {
		t.Errorf("another user has %v", got)
	}
	c.do("PUT", "/users/current-user-ui-state", `[1]`).refused(t, http.StatusBadRequest, "INVALID_REQUEST")
	large := fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 64<<10))
	c.do("PUT", "/users/current-user-ui-state", large).refused(t, http.StatusBadRequest, "COMMON_INVALID_INPUT")
}

func TestSettingsOfSigningIn(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	c := w.signIn("admin", password)
	plain := w.newUser("plain", "NONE")
	enter := fmt.Sprintf(`{"loginName":"plain","password":%q}`, password)
	g := w.api.Guard

	t.Run("lockdown", func(t *testing.T) {
		g.Lockdown = true
		w.request("POST", base+"/sessions", enter).refused(t, http.StatusBadRequest, "AUTH_SYSTEM_LOCKDOWN")
		w.request("POST", base+"/sessions", `{"loginName":"plain","password":"Invented-x"}`).refused(t, http.StatusBadRequest, "AUTH_INVALID_CREDENTIALS")
		w.signIn("admin", password)
		if a := plain.do("GET", "/users/current-user", ""); a.status != http.StatusOK {
			t.Errorf("a session that had begun: %s", a.body)
		}
		g.Lockdown = false
	})
	t.Run("address", func(t *testing.T) {
		c.do("PATCH", "/users/3", `{"ipRange":"somewhere"}`).refused(t, http.StatusBadRequest, "USER_INVALID_IP")
		c.do("PATCH", "/users/3", `{"apiUser":true}`).refused(t, http.StatusBadRequest, "USER_IP_REQ")
		c.must("PATCH", "/users/3", `{"apiUser":true,"ipRange":"198.51.100.0/24"}`)
		w.request("POST", base+"/sessions", enter).refused(t, http.StatusBadRequest, "AUTH_NA_IP_ADDRESS")
		c.must("PATCH", "/users/3", `{"ipRange":"127.0.0.0/8"}`)
		w.signIn("plain", password)
	})
	t.Run("sessions", func(t *testing.T) {
		g.MaxSessions = 2
		var all []caller
		for range 3 {
			all = append(all, w.signIn("plain", password))
		}
		for i, one := range all {
			if a := one.do("GET", "/users/current-user", ""); (a.status == http.StatusOK) != (i > 0) {
				t.Errorf("session %d: %d", i+1, a.status)
			}
		}
		g.MaxSessions = 0
	})
	t.Run("passwords", func(t *testing.T) {
		g.PasswordsToExamine = 2
		set := func(p string) answer {
			return c.do("PUT", "/users/password", fmt.Sprintf(`{"userId":3,"newPassword":%q}`, p))
		}
		set(password).refused(t, http.StatusBadRequest, "USER_PASSWD_SAME_AS_LAST_N")
		for i, p := range []string{"Invented-2", "Invented-3", password} {
			if a := set(p); a.body != "true" {
				t.Errorf("change %d: %s", i+1, a.body)
			}
		}
		set("Invented-3").refused(t, http.StatusBadRequest, "USER_PASSWD_SAME_AS_LAST_N")
		g.PasswordsToExamine = 0
	})
	t.Run("origins", func(t *testing.T) {
		w.api.Origins = []string{"https://lab.example.org"}
		a := w.request("GET", base+"/users/current-user", "", "Origin: https://other.example.org", "X-OS-API-TOKEN: "+c.token)
		a.refused(t, http.StatusMethodNotAllowed, "COMMON_INVALID_REQUEST")
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("the origin is allowed")
		}
		w.request("OPTIONS", base+"/users/current-user", "", "Origin: https://other.example.org").refused(t, http.StatusMethodNotAllowed, "COMMON_INVALID_REQUEST")
		for _, h := range []string{"Origin: https://lab.example.org", "Accept: */*"} {
			if a := w.request("GET", base+"/users/current-user", "", h, "X-OS-API-TOKEN: "+c.token); a.status != http.StatusOK {
				t.Errorf("%s: %s", h, a.body)
			}
		}
		w.api.Origins = nil
	})
	t.Run("unlock", func(t *testing.T) {
		bad := `{"loginName":"plain","password":"Invented-x"}`
		for range 5 {
			w.request("POST", base+"/sessions", bad).refused(t, http.StatusBadRequest, "AUTH_INVALID_CREDENTIALS")
		}
		w.request("POST", base+"/sessions", enter).refused(t, http.StatusBadRequest, "AUTH_USER_LOCKED")
		c.must("PUT", "/users/3/activity-status", `{"activityStatus":"Active"}`)
		w.signIn("plain", password)
	})
	t.Run("token's address", func(t *testing.T) {
		g.SameAddress = true
		one := w.signIn("plain", password)
		if a := one.do("GET", "/users/current-user", ""); a.status != http.StatusOK {
			t.Error(a.body)
		}
		if _, err := g.User(t.Context(), w.clock(), one.token, "198.51.100.7"); err == nil || !strings.Contains(err.Error(), "address has changed") {
			t.Errorf("from elsewhere: %v", err)
		}
	})
}

func TestFindUsersByWhatTheyMay(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/sites", `{"name":"North","instituteName":"Default Institute","type":"Laboratory"}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"ONE","title":"One","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North"}]}`)
	c.must("POST", "/rbac/roles", `{"name":"Shelver","acl":[{"resourceName":"StorageContainer","operations":[{"operationName":"Update"}]}]}`)
	w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: 1})
	w.newUser("reader", "NONE", biobank.Grant{ID: 1, Role: "Researcher", SiteID: 1})
	w.newUser("shelver", "NONE", biobank.Grant{ID: 1, Role: "Shelver"})
	w.newUser("nobody", "NONE")
	for query, want := range map[string]string{
		"role=technician":                     "tech",
		"cp=ONE":                              "admin reader shelver tech",
		"cp=TWO":                              "admin",
		"site=North":                          "admin reader shelver tech",
		"site=Nowhere":                        "admin",
		"resource=Specimen&op=Update":         "admin tech",
		"resource=StorageContainer&op=Update": "admin shelver",
		"resource=StorageContainer&op=Update&cp=ONE": "admin shelver",
		"group=Any":               "",
		"listAll=false&type=NONE": "nobody reader shelver tech",
	} {
		var got []string
		for _, u := range c.list("GET", "/users?"+query, "") {
			got = append(got, u["loginName"].(string))
		}
		if diff := cmp.Diff(strings.Fields(want), strings.Fields(strings.Join(sortedTexts(got), " "))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// Somebody is active who has given a password, by signing in or with a request; a change of it makes nobody inactive.
func TestFindUsersWhoAreActive(t *testing.T) {
	if localtest.OnBinaries() {
		t.Skip("their clock cannot be moved")
	}
	w := newWorld(t)
	c := w.signIn("admin", password)
	for _, login := range []string{"early", "late", "basic"} {
		w.newUser(login, "NONE")
	}
	c.must("POST", "/users", `{"firstName":"N","lastName":"N","emailAddress":"never@example.org","domainName":"openspecimen","loginName":"never","instituteName":"Default Institute"}`)
	day := w.clock()
	w.wait(50 * time.Hour)
	later := w.clock()
	c = w.signIn("admin", password)
	w.signIn("late", password)
	w.request("POST", base+"/sessions", `{"loginName":"early","password":"Wrong-1"}`).refused(t, http.StatusBadRequest, "AUTH_INVALID_CREDENTIALS")
	if a := w.request("GET", base+"/users/current-user", "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("basic:"+password))); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	if a := c.do("PUT", "/users/password", fmt.Sprintf(`{"userId":%v,"newPassword":"Invented-9"}`, c.list("GET", "/users?loginName=late", "")[0]["id"])); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	for since, want := range map[string]string{
		day.Format(time.DateOnly):                       "admin basic early late",
		later.Format(time.DateOnly):                     "admin basic late",
		fmt.Sprint(later.UnixMilli()):                   "admin basic late",
		later.Add(24 * time.Hour).Format(time.DateOnly): "",
	} {
		if got := strings.Fields(strings.ReplaceAll(column(c.list("GET", "/users?activeSince="+since, ""), "loginName"), ",", " ")); cmp.Diff(strings.Fields(want), sortedTexts(got)) != "" {
			t.Errorf("since %s: %v, not %s", since, got, want)
		}
	}
	if got := c.must("GET", "/users/count?activeSince="+later.Format(time.DateOnly), "")["count"]; got != 3.0 {
		t.Errorf("%v are counted", got)
	}
}
