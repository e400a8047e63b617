package api_test

import (
	"fmt"
	"testing"
)

// The distribution protocols of a protocol are named, resolved, kept and shown as far as the reader may see them.
func TestDistributionProtocolsOfAProtocol(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"North","instituteName":"Default Institute","type":"Repository"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	const dp = `{"title":"%[1]s study","shortTitle":%[1]q,"instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{%[2]q:[]}}`
	one := c.must("POST", "/distribution-protocols", fmt.Sprintf(dp, "DP-1", "Default Institute"))["id"]
	c.must("POST", "/distribution-protocols", fmt.Sprintf(dp, "DP-2", "Elsewhere"))
	boss := w.newUser("boss", "INSTITUTE")
	const cp = `{"shortTitle":"HAS","title":"Has","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North"}]%s}`
	send := func(method, path, dps string) answer { return c.do(method, path, fmt.Sprintf(cp, dps)) }

	send("POST", "/collection-protocols", `,"distributionProtocols":["Nothing","DP-1"]`).refused(t, 400, "DP_NOT_FOUND")
	send("POST", "/collection-protocols", `,"distributionProtocols":"DP-1"`).refused(t, 400, "INVALID_REQUEST")
	boss.do("POST", "/collection-protocols", fmt.Sprintf(cp, `,"distributionProtocols":["DP-2"]`)).refused(t, 400, "DP_NOT_FOUND")
	path := fmt.Sprintf("/collection-protocols/%v", c.must("POST", "/collection-protocols", fmt.Sprintf(cp, `,"distributionProtocols":["dp-1","DP-1"]`))["id"])
	shown := func(as caller) string { return fmt.Sprint(as.must("GET", path, "")["distributionProtocols"]) }
	for _, tt := range []struct{ dps, want string }{
		{"", "[DP-1]"}, // a whole object that does not say keeps them
		{`,"distributionProtocols":[{"shortTitle":"DP-2"},{"title":"DP-1 study"}]`, "[DP-2 DP-1]"},
		{`,"distributionProtocols":[]`, "[]"},
		{"", "[]"},
		{fmt.Sprintf(`,"distributionProtocols":[{"id":%v},{"shortTitle":"DP-2"}]`, one), "[DP-1 DP-2]"},
	} {
		if a := send("PUT", path, tt.dps); a.status != 200 || shown(c) != tt.want {
			t.Errorf("%s: %d, %s, want %s", tt.dps, a.status, shown(c), tt.want)
		}
	}
	send("PUT", path, `,"distributionProtocols":[{"id":99}]`).refused(t, 400, "DP_NOT_FOUND")
	if got := shown(boss); got != "[DP-1]" {
		t.Errorf("the administrator of the institute sees %s", got)
	}
	// What the protocol has already may be sent again by who does not see it.
	boss.must("PUT", path, fmt.Sprintf(cp, `,"distributionProtocols":["DP-2","DP-1"]`))
	// Who does not see it does not send it, and does not take it off.
	for dps, want := range map[string]string{`["DP-1"]`: "[DP-1 DP-2]", `[]`: "[DP-2]"} {
		send("PUT", path, `,"distributionProtocols":["DP-2","DP-1"]`)
		boss.must("PUT", path, fmt.Sprintf(cp, `,"distributionProtocols":`+dps))
		if got := shown(c); got != want {
			t.Errorf("%s, sent by who does not see DP-2, leaves %s, want %s", dps, got, want)
		}
	}
	send("PUT", path, `,"distributionProtocols":["DP-2","DP-1"]`)
	c.must("PUT", fmt.Sprintf("/distribution-protocols/%v", one), fmt.Sprintf(dp, "DP-9", "Default Institute"))
	if got := shown(c); got != "[DP-2 DP-9]" {
		t.Errorf("renamed: %s", got)
	}
	c.must("DELETE", fmt.Sprintf("/distribution-protocols/%v", one), "")
	if got := shown(c); got != "[DP-2]" {
		t.Errorf("deleted: %s", got)
	}
}
