package api

import (
	"net/http"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/csvimport"
	"aliquot/shared/fault"
)

func noSchema(name string) *fault.Fault {
	return fault.New("IMPORT_JOB_OBJ_SCHEMA_NOT_FOUND", "Records of type %q cannot be imported.", name)
}

// template answers with the header row of a type.
func template(c *call) (any, error) {
	q := c.query()
	name, separator := q.text("schema"), q.raw("fieldSeparator") // a tab is no space to be trimmed
	params := map[string]string{"cpId": q.text("cpId"), "formName": q.text("formName"), "entityType": q.text("entityType")}
	cps := append(idsOrAll(q, "cpId"), 0)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if csvimport.SchemaFor(name) == nil {
		return nil, noSchema(name)
	}
	if cps[0] != 0 { // the fields of its forms are for those who may see it
		if _, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Protocol, cps[0]); err != nil {
			return nil, err
		}
	}
	schema, err := csvimport.SchemaOf(c.Context(), c.api.Registry, name, params)
	if err != nil {
		return nil, err
	}
	title := schema.ObjectType()
	if params["formName"] != "" && params["entityType"] != "" {
		title = plainName(params["formName"] + "_" + params["entityType"])
	}
	comma := byte(',')
	if separator != "" {
		comma = separator[0]
	}
	row := csvfile.AppendStrings(nil, comma, schema.Template()...)
	return csvAnswer{name: title + ".csv", body: row}, nil
}

// plainName is a text without white space, and without what a header could not hold.
func plainName(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r <= ' ':
			return -1
		case r > '~' || strings.ContainsRune(`"\/;,`, r):
			return '_'
		}
		return r
	}, text)
}

// csvAnswer is a file.
type csvAnswer struct {
	name string
	body []byte
}

func (a csvAnswer) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/csv")
	w.Header().Set("Content-Disposition", "attachment;filename="+a.name)
	_, _ = w.Write(a.body) // the caller may have hung up
	return nil
}
