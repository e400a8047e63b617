package odmapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// studies are the Study elements that a caller is given.
func (c caller) studies(oid string) []*odm.Study {
	c.t.Helper()
	a := c.do("GET", "/clinicaldata/"+oid+"/*/*/*?includeMetadata=y&clinicaldata=n", "", "Accept: text/xml")
	if a.status != 200 {
		c.t.Fatalf("%s: %d %s", oid, a.status, a.body)
	}
	var all []*odm.Study
	for in := odm.NewReader(strings.NewReader(a.body)); ; {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if s, is := p.(*odm.Study); is {
			all = append(all, s)
		}
	}
}

// defined are the OIDs of what a study defines.
func defined(s *odm.Study) (oids []string) {
	for _, v := range s.MetaDataVersion {
		for _, d := range v.StudyEventDef {
			oids = append(oids, d.OID)
			for _, r := range d.FormRef {
				oids = append(oids, d.OID+"/"+r.FormOID)
			}
		}
		for _, d := range v.FormDef {
			oids = append(oids, d.OID)
		}
		for _, d := range v.ItemGroupDef {
			oids = append(oids, d.OID)
		}
		for _, d := range v.ItemDef {
			oids = append(oids, d.OID)
		}
		for _, d := range v.CodeList {
			oids = append(oids, d.OID)
		}
	}
	return oids
}

// Each site has a Study, with what holds there, and whoever sees the site alone sees all of that (sections 6.2 to 6.4).
func TestDefinitionsOfSites(t *testing.T) {
	w := newWorld(t)
	w.river()
	river := strings.NewReplacer(
		`<ItemRef ItemOID="I_SCAN" Mandatory="No"/>`, `<ItemRef ItemOID="I_SCAN" Mandatory="No" MethodOID="M_SCAN"/><ItemRef ItemOID="I_KIND" Mandatory="No"/>`,
		`<ItemDef OID="I_LOG"`, `<ItemDef OID="I_KIND" Name="Kind" DataType="text"><CodeListRef CodeListOID="CL_KIND"/></ItemDef><ItemDef OID="I_LOG"`,
		`<CodeList OID="CL_SEX"`, `<CodeList OID="CL_KIND" Name="Kind" DataType="text"><CodeListItem CodedValue="MR"><Decode><TranslatedText>MR</TranslatedText></Decode></CodeListItem></CodeList><CodeList OID="CL_SEX"`,
		`</ODM>`, `<Study OID="S_SPRING"><GlobalVariables><StudyName>Up there</StudyName><StudyDescription>Spring</StudyDescription><ProtocolName>SPRING</ProtocolName></GlobalVariables>
			<MetaDataVersion OID="v1.0.0-S_SPRING" Name="Here"><Include StudyOID="S_RIVER" MetaDataVersionOID="v1.0.0"/>
			<StudyEventDef OID="SE_FIRST" Name="First visit" Repeating="No" Type="Scheduled">
				<FormRef FormOID="F_SCAN" Mandatory="No"><OpenClinica:ConfigurationParameters HideCRF="Yes"/></FormRef>
				<FormRef FormOID="F_VITALS" Mandatory="No"><OpenClinica:FormLayoutRef OID="1" IsDefaultVersion="Yes"/></FormRef>
			</StudyEventDef></MetaDataVersion></Study></ODM>`,
	).Replace(mustRead(t, "testdata/river.xml"))
	w.fallback.must("PUT", "/studies/S_RIVER/metadata", river)
	people := w.people()
	manager, coordinator := people[1], people[4]

	scan := []string{"SE_FIRST/F_SCAN", "F_SCAN", "IG_SCAN", "I_SCAN", "I_KIND", "CL_KIND"}
	all := manager.studies("S_RIVER")
	var oids []string
	for _, s := range all {
		v := s.MetaDataVersion[0]
		oids = append(oids, s.OID+" "+s.GlobalVariables.StudyName+" "+v.OID)
		if s.OID != "S_RIVER" && (v.Include == nil || *v.Include != odm.Include{StudyOID: "S_RIVER", MetaDataVersionOID: "v1.0.0"}) {
			t.Errorf("%s includes %+v", s.OID, v.Include)
		}
	}
	if want := []string{"S_RIVER River v1.0.0", "S_SPRING Up there v1.0.0-S_SPRING", "S_MOUTH Mouth v1.0.0-S_MOUTH"}; !slices.Equal(oids, want) {
		t.Fatalf("studies %q, want %q", oids, want)
	}
	for _, oid := range scan {
		if !slices.Contains(defined(all[0]), oid) {
			t.Errorf("the study has no %s", oid)
		}
	}
	if got := defined(all[1]); !slices.Equal(got, []string{"SE_FIRST", "SE_FIRST/F_SCAN", "SE_FIRST/F_VITALS"}) {
		t.Errorf("the site does otherwise: %v", got)
	}
	if v := all[2].MetaDataVersion[0]; len(defined(all[2])) > 0 || v.Name != "MetaDataVersion_v1.0.0-S_MOUTH" || len(v.Protocol.StudyEventRef) != 3 {
		t.Errorf("the site without a Study: %+v", v)
	}

	for name, ask := range map[string]struct {
		who    caller
		study  string
		hidden bool
	}{
		"somebody of the site, by the study": {coordinator, "S_RIVER", true}, "somebody of the site": {coordinator, "S_SPRING", true},
		"somebody of the study, by the site": {manager, "S_SPRING", false}, "of the site without a Study": {manager, "S_MOUTH", false},
	} {
		got := ask.who.studies(ask.study)
		if len(got) != 1 || got[0].OID == "S_RIVER" || got[0].MetaDataVersion[0].Include == nil {
			t.Fatalf("%s: %d studies, %+v", name, len(got), got[0])
		}
		is := defined(got[0])
		for _, oid := range scan {
			if slices.Contains(is, oid) == ask.hidden {
				t.Errorf("%s: %s is there: %t", name, oid, !ask.hidden)
			}
		}
		for _, oid := range []string{"SE_FIRST/F_VITALS", "F_VITALS", "IG_VITALS", "I_SEX", "CL_SEX", "F_LOG", "I_LOG"} {
			if !slices.Contains(is, oid) {
				t.Errorf("%s: %s is missing", name, oid)
			}
		}
		if got[0].OID == "S_SPRING" && got[0].GlobalVariables.StudyName != "Up there" {
			t.Errorf("%s: %+v", name, got[0].GlobalVariables)
		}
		for _, e := range got[0].MetaDataVersion[0].StudyEventDef {
			for _, r := range e.FormRef {
				if e.OID+r.FormOID == "SE_FIRSTF_VITALS" && (r.FormLayoutRef[0].OID == "1") != (got[0].OID == "S_SPRING") {
					t.Errorf("%s: the version of the form is %s", name, r.FormLayoutRef[0].OID)
				}
			}
		}
		if _, err := clinical.Compile(got[0].OID, got); err != nil { // nothing is named that is not there
			t.Errorf("%s: %v", name, err)
		}
	}
}

// calls is a store that counts what it is asked.
type calls struct {
	biobank.Store
	n int
}

func (c *calls) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	c.n++
	return c.Store.Records(ctx, keys, strong)
}

func (c *calls) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	c.n++
	return c.Store.List(ctx, part, prefix, after, limit)
}

// However many sites and users a study has, they are read at once.
func TestUsersOfManySites(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	w.river()
	counted := &calls{Store: w.api.Registry.Store}
	w.api.Registry.Store, w.users.Store = counted, counted
	read := func() (n, users int) {
		t.Helper()
		before := counted.n
		a := w.fallback.do("GET", "/clinicaldata/S_RIVER/*/*/*?includeMetadata=y", "", "Accept: text/xml")
		if a.status != 200 {
			t.Fatal(a)
		}
		return counted.n - before, strings.Count(a.body, "<User ")
	}
	w.newUser("one")
	w.grant("S_RIVER", "one", "Monitor")
	few, users := read()
	if users != 1 {
		t.Errorf("%d users", users)
	}
	for n := range 5 {
		site, login := fmt.Sprint("S_SITE", n), fmt.Sprint("user", n)
		w.fallback.must("PUT", "/studies/"+site, `{"parent":"S_RIVER"}`)
		w.newUser(login)
		w.grant(site, login, "Viewer")
		w.grant("S_RIVER", login, "Monitor")
	}
	many, users := read()
	if users != 1+2*5 || many != few || few > 8 {
		t.Errorf("%d calls for one user, %d calls for %d users", few, many, users)
	}
}
