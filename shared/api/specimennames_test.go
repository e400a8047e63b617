package api_test

import (
	"fmt"
	"testing"
)

// newNamed makes a protocol at a site that is there, with a visit of a registration, and returns the ids of the protocol, its
// event and the visit.
func newNamed(c caller, short, more string) (cp, event, visit int64) {
	c.t.Helper()
	cp = idOf(c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":%q,"principalInvestigator":{"loginName":"admin"},
		"cpSites":[{"siteName":"North Biobank"}]%s}`, short, short, more)))
	event = idOf(c.must("POST", "/collection-protocol-events", fmt.Sprintf(`{"eventLabel":"Day","cpShortTitle":%q}`, short)))
	reg := idOf(c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":"%s-1","registrationDate":"2022-01-01","participant":{}}`, cp, short)))
	visit = idOf(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"%s-V","site":"North Biobank"}`, reg, event, short)))
	return cp, event, visit
}

func TestBarcodesAndAdditionalLabelsAreMade(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	_, event, visit := newNamed(c, "BAR", `,"barcodingEnabled":true,"specimenBarcodeFmt":"*%SPEC_LABEL%*","additionalLabelFmt":"N%CP_UID(4)%"`)
	made := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"B-1","initialQty":3}`, visit))
	if made["barcode"] != "*B-1*" || made["additionalLabel"] != "N0001" {
		t.Errorf("made %v, %v", made["barcode"], made["additionalLabel"])
	}
	path := fmt.Sprintf("/specimens/%v", made["id"])
	// What is shown may be sent back; the label may change, and the barcode stays what was printed.
	c.must("PUT", path, `{"barcode":"*B-1*","additionalLabel":"N0001","label":"B-2"}`)
	for body, code := range map[string]string{
		`{"barcode":"mine"}`: "SPECIMEN_MANUAL_BARCODE_NOT_ALLOWED", `{"barcode":""}`: "SPECIMEN_MANUAL_BARCODE_NOT_ALLOWED",
		`{"additionalLabel":"mine"}`:                      "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED",
		`{"status":"Missed Collection","barcode":"mine"}`: "SPECIMEN_MANUAL_BARCODE_NOT_ALLOWED",
	} {
		c.do("PUT", path, body).refused(t, 400, code)
	}
	child := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Aliquot","initialQty":1}`, made["id"]))
	if child["label"] != "B-2_1" || child["barcode"] != "*B-2_1*" || child["additionalLabel"] != "N0002" {
		t.Errorf("an aliquot got %v, %v, %v", child["label"], child["barcode"], child["additionalLabel"])
	}
	c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"x","barcode":"x"}`, visit)).refused(t, 400, "SPECIMEN_MANUAL_BARCODE_NOT_ALLOWED")
	c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"x","additionalLabel":"x"}`, visit)).refused(t, 400, "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED")
	// A pending one gets its names when it is collected.
	pending := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","status":"Pending"}`, visit))
	if pending["barcode"] != nil || pending["additionalLabel"] != nil {
		t.Errorf("a pending one has %v, %v", pending["barcode"], pending["additionalLabel"])
	}
	is := c.must("PUT", fmt.Sprintf("/specimens/%v", pending["id"]), `{"status":"Collected","label":"B-3"}`)
	if is["barcode"] != "*B-3*" || is["additionalLabel"] != "N0003" {
		t.Errorf("it became %v, %v", is["barcode"], is["additionalLabel"])
	}
	// A tube that has its barcode brings it, or has none.
	req := idOf(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"PB","specimenClass":"Fluid","type":"Plasma","preBarcodedTube":true,%s}`, event, primary)))
	for label, barcode := range map[string]any{"T-1": "tube", "T-2": nil} {
		body := fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":%q}`, visit, req, label)
		if barcode != nil {
			body = fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":%q,"barcode":%q}`, visit, req, label, barcode)
		}
		if got := c.must("POST", "/specimens", body); got["barcode"] != barcode {
			t.Errorf("tube %s has %v, want %v", label, got["barcode"], barcode)
		}
	}
}

func TestNamesGivenByHand(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	cp, _, visit := newNamed(c, "HAND", `,"manualSpecLabelEnabled":true,"additionalLabelFmt":"N%CP_UID%","specimenBarcodeFmt":"%SPEC_LABEL%"`)
	// A format alone makes no barcodes.
	first := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"H-1","additionalLabel":"N77","initialQty":2}`, visit))
	if first["barcode"] != nil || first["additionalLabel"] != "N77" {
		t.Errorf("got %v, %v", first["barcode"], first["additionalLabel"])
	}
	if got := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"H-2","barcode":"own"}`, visit)); got["barcode"] != "own" || got["additionalLabel"] != "N1" {
		t.Errorf("got %v, %v", got["barcode"], got["additionalLabel"])
	}
	c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"H-3","additionalLabel":"X"}`, visit)).refused(t, 400, "SPECIMEN_INVALID_LABEL")
	c.do("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Aliquot","initialQty":1}`, first["id"])).refused(t, 400, "SPECIMEN_LABEL_REQUIRED")
	whole := func(more string) string {
		return `{"shortTitle":"HAND","title":"HAND","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}],"specimenBarcodeFmt":"%SPEC_LABEL%"` + more + `}`
	}
	path := fmt.Sprintf("/collection-protocols/%d", cp)
	c.do("PUT", path, whole(`,"barcodingEnabled":true`)).refused(t, 400, "CP_CANNOT_ENABLE_BARCODING")
	c.must("PUT", fmt.Sprintf("/specimens/%v", first["id"]), `{"barcode":"H-1"}`)
	c.must("PUT", path, whole(`,"barcodingEnabled":true`))
	if got := c.do("GET", "/collection-protocols/barcoding-enabled", "").body; got != "true" {
		t.Errorf("barcoding is enabled: %s", got)
	}
	for more, code := range map[string]string{
		`,"additionalLabelFmt":"N%SPEC_TYPE%"`: "CP_INVALID_ADDL_LABEL_FMT", `,"additionalLabelFmt":"%VISIT_UID%"`: "CP_INVALID_ADDL_LABEL_FMT",
		`,"aliquotLabelFmt":"%SPEC_LABEL%"`: "CP_INVALID_ALIQUOT_LABEL_FMT",
	} {
		c.do("PUT", path, whole(more)).refused(t, 400, code)
	}
	c.do("POST", "/collection-protocols", `{"shortTitle":"X","title":"X","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}],"specimenBarcodeFmt":"%NONE%"}`).
		refused(t, 400, "CP_INVALID_SPECIMEN_BARCODE_FMT")
}

// A protocol without a format for aliquots makes their labels all the same, and takes those that are sent.
func TestLabelsOfAliquotsByDefault(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	_, _, visit := newNamed(c, "ALI", "")
	parent := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"A","initialQty":9}`, visit))["id"]
	for i, label := range []any{nil, "mine", nil} {
		body := fmt.Sprintf(`{"parentId":%v,"lineage":"Aliquot","initialQty":1}`, parent)
		want := fmt.Sprintf("A_%d", map[int]int{0: 1, 2: 2}[i])
		if label != nil {
			want, body = "mine", fmt.Sprintf(`{"parentId":%v,"lineage":"Aliquot","initialQty":1,"label":%q}`, parent, label)
		}
		if got := c.must("POST", "/specimens", body); got["label"] != want {
			t.Errorf("aliquot %d is called %v, want %s", i, got["label"], want)
		}
	}
	c.do("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Derived","type":"Plasma"}`, parent)).refused(t, 400, "SPECIMEN_LABEL_REQUIRED")
}

// A label that is changed follows the rules of labels as one that is given at first does.
func TestChangedLabelsFollowTheFormat(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	path := func(v map[string]any) string { return fmt.Sprintf("/specimens/%v", v["id"]) }

	_, _, visit := newNamed(c, "MAN", `,"specimenLabelFmt":"M%CP_UID(4)%","manualSpecLabelEnabled":true`)
	one := path(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"M0001"}`, visit)))
	c.do("PUT", one, `{"label":"anything"}`).refused(t, 400, "SPECIMEN_INVALID_LABEL")
	c.do("PUT", one, `{"label":"anything","status":"Missed Collection"}`).refused(t, 400, "SPECIMEN_INVALID_LABEL")
	c.must("PUT", one, `{"label":"M0002"}`)
	wait := path(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","status":"Pending"}`, visit)))
	c.do("PUT", wait, `{"label":"mine"}`).refused(t, 400, "SPECIMEN_INVALID_LABEL")
	c.do("PUT", wait, `{"label":"mine","status":"Collected"}`).refused(t, 400, "SPECIMEN_INVALID_LABEL")
	c.must("PUT", wait, `{"label":"M0003"}`)
	c.must("PUT", wait, `{"status":"Collected"}`)

	_, event, visit := newNamed(c, "GEN", `,"specimenLabelFmt":"G%CP_UID(4)%"`)
	wait = path(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","status":"Pending"}`, visit)))
	for _, body := range []string{`{"label":"mine"}`, `{"label":"mine","status":"Collected"}`} {
		c.do("PUT", wait, body).refused(t, 400, "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED")
	}
	got := c.must("PUT", wait, `{"status":"Collected"}`)
	if got["label"] != "G0001" {
		t.Errorf("collected it is %v", got["label"])
	}
	c.do("PUT", wait, `{"label":"G0009"}`).refused(t, 400, "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED")
	c.must("PUT", wait, `{"label":"G0001","comments":"as it was"}`)

	// The format of a requirement comes before those of the protocol, and is all there is where that has none.
	req := c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"BL","specimenClass":"Fluid","type":"Plasma","labelFmt":"R%%CP_UID(4)%%",%s}`, event, primary))["id"]
	c.must("PUT", wait, fmt.Sprintf(`{"reqId":%v}`, req))
	c.do("PUT", wait, `{"label":"R0001"}`).refused(t, 400, "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED")
	_, event, visit = newNamed(c, "REQ", "")
	req = c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"BL","specimenClass":"Fluid","type":"Plasma","labelFmt":"R%%CP_UID(4)%%",%s}`, event, primary))["id"]
	made := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"reqId":%v}`, visit, req))
	c.do("PUT", path(made), `{"label":"mine"}`).refused(t, 400, "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED")
	free := path(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"F-1"}`, visit)))
	c.must("PUT", free, `{"label":"F-2"}`)
}
