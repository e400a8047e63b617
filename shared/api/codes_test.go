package api_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whom a protocol names must belong to an institute with a site of it; super administrators need not.
func TestPeopleOfAProtocolBelongToItsSites(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Far"}`)
	c.must("POST", "/sites", `{"name":"Far Site","instituteName":"Far","type":"Repository"}`)
	w.newUserOf("Far", "far", "NONE")
	w.newUser("near", "NONE")
	body := func(pi, coordinators, sites string) string {
		return fmt.Sprintf(`{"shortTitle":"P","title":"P","principalInvestigator":{"loginName":%q},"coordinators":[%s],"cpSites":[%s]}`, pi, coordinators, sites)
	}
	const here, there = `{"siteName":"North Biobank"}`, `{"siteName":"Far Site"}`
	for _, refused := range [][2]string{
		{body("far", "", here), "CP_PI_DOES_NOT_BELONG_CP_REPOS"},
		{body("near", `{"loginName":"admin"},{"loginName":"far"}`, here), "CP_CO_ORD_DOES_NOT_BELONG_CP_REPOS"},
		{body("far", `{"loginName":"far"}`, here), "CP_PI_DOES_NOT_BELONG_CP_REPOS,CP_CO_ORD_DOES_NOT_BELONG_CP_REPOS"},
	} {
		c.do("POST", "/collection-protocols", refused[0]).refused(t, 400, refused[1])
	}
	path := fmt.Sprintf("/collection-protocols/%d", idOf(c.must("POST", "/collection-protocols", body("far", `{"loginName":"near"},{"loginName":"admin"}`, here+","+there))))
	c.do("PUT", path, body("far", "", here)).refused(t, 400, "CP_PI_DOES_NOT_BELONG_CP_REPOS")
	c.must("PUT", path, body("near", "", here))
	c.do("PUT", path, body("near", `{"loginName":"far"}`, here)).refused(t, 400, "CP_CO_ORD_DOES_NOT_BELONG_CP_REPOS")
}

func TestCodesOfSmallMistakes(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.do("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"specimenClass":"Nonsense","type":"Plasma",%s}`, s.event, primary)).refused(t, 400, "SR_INVALID_SPECIMEN_CLASS")
	c.do("GET", "/permissible-values/v/%20?attribute=gender", "").refused(t, 400, "PV_VALUE_REQUIRED")
	// Names of visits: by hand with a format, and where there is none.
	visit := fmt.Sprintf("/visits/%d", s.visit)
	c.do("PUT", visit, fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"free","site":"North Biobank"}`, s.registration, s.event)).refused(t, 400, "VISIT_INVALID_NAME")
	c.do("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"eventId":%d}`, s.registration, s.event)).refused(t, 400, "VISIT_NAME_REQUIRED")
	cp, _, _ := newNamed(c, "PLAIN", "")
	c.do("POST", "/visits", fmt.Sprintf(`{"cpId":%d,"ppid":"PLAIN-1","site":"North Biobank"}`, cp)).refused(t, 400, "VISIT_NAME_FMT_NOT_SPECIFIED")
	// A hierarchy stands only where its type is held.
	c.must("POST", "/container-types", `{"name":"Box","nameFormat":"%PCONT_NAME%-B%PCONT_UID%","noOfRows":1,"noOfColumns":1}`)
	c.must("POST", "/container-types", `{"name":"Rack","nameFormat":"R%PCONT_UID%","noOfRows":1,"noOfColumns":2,"canHold":{"name":"Box"}}`)
	c.must("POST", "/storage-containers", `{"name":"Rack one","typeName":"Rack","siteName":"North Biobank"}`)
	c.do("POST", "/storage-containers/create-hierarchy", `{"typeName":"Rack","storageLocation":{"name":"Rack one"},"names":["In it"]}`).refused(t, 400, "CONTAINER_TYPE_CANNOT_HOLD_CONTAINER")
	if got := column(c.list("POST", "/storage-containers/create-hierarchy", `{"typeName":"Box","storageLocation":{"name":"Rack one"}}`), "name"); got != "Rack one-B1" {
		t.Errorf("made %s", got)
	}
}

// What the page of codes that do not arise says is so.
func TestCodesThatDoNotArise(t *testing.T) {
	page, err := os.ReadFile("../../infra/decisions/codes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllSubmatch(page, -1)
	if len(rows) == 0 {
		t.Fatal("the page has no codes")
	}
	var source []byte
	for _, pattern := range []string{"*.go", "../biobank/*.go", "../csvimport/*.go", "../fault/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(f, "_test.go") {
				source = append(source, text...)
			}
		}
	}
	if !bytes.Contains(source, []byte(`"CP_NOT_FOUND"`)) {
		t.Fatal("the source was not read")
	}
	for _, row := range rows {
		for _, code := range regexp.MustCompile("[A-Z][A-Z_]+").FindAll(row[1], -1) {
			if bytes.Contains(source, []byte(`"`+string(code)+`"`)) {
				t.Errorf("%s arises", code)
			}
		}
	}
}
