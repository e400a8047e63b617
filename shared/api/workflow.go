package api

import (
	"encoding/json"
	"strings"

	"aliquot/shared/biobank"
)

// Workflow settings of protocols (reference openspecimen-rest.md section 9). What is in them is the clients' business.

func workflowRoutes() []route {
	path := protocols().path + "/{id}/workflows"
	return []route{
		{pattern: "GET " + path, summary: "Read the workflow settings of a protocol", answers: workflowsView{}, serve: showWorkflows},
		{pattern: "PUT " + path, summary: "Replace the workflow settings of a protocol", answers: workflowsView{}, serve: func(c *call) (any, error) { return setWorkflows(c, false) }},
		{pattern: "PATCH " + path, summary: "Set some of the workflow settings of a protocol", answers: workflowsView{}, serve: func(c *call) (any, error) { return setWorkflows(c, true) }},
	}
}

func showWorkflows(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	rec, all, err := c.api.Registry.WorkflowsOf(c.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	return workflowsView{rec.ID, doc.ShortTitle, all}, err
}

type workflowsView struct {
	CPID       int64                      `json:"cpId"`
	ShortTitle string                     `json:"shortTitle"`
	Workflows  map[string]json.RawMessage `json:"workflows"`
}

// setWorkflows serves PUT, which replaces them all, and PATCH, which sets those that are sent.
func setWorkflows(c *call, patch bool) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	list, err := workflowsOf(text)
	if err != nil {
		return nil, err
	}
	d := &biobank.WorkflowsDraft{ProtocolID: id, Workflows: list, Patch: patch}
	if _, err := c.apply(biobank.Change{Op: biobank.Update, Draft: d}); err != nil {
		return nil, err
	}
	return showWorkflows(c)
}

// workflowsOf reads workflow settings: an array of objects with a name, an object of them by name, or one with the member
// workflows (the form is not documented; clients send the first, servers answer with the last). nil gives none.
func workflowsOf(text []byte) ([]biobank.Workflow, error) {
	if text == nil {
		return nil, nil
	}
	v, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	if o, ok := v.(map[string]any); ok && o["workflows"] != nil {
		v = o["workflows"]
	}
	var list []biobank.Workflow
	add := func(name string, data any) error {
		if _, ok := data.(map[string]any); !ok {
			return invalid("Each workflow must be an object.")
		}
		text, err := json.Marshal(data)
		list = append(list, biobank.Workflow{Name: name, Data: text})
		return err
	}
	switch v := v.(type) {
	case nil:
	case []any:
		for _, one := range v {
			o, _ := one.(map[string]any)
			name, _ := o["name"].(string)
			if err := add(strings.TrimSpace(name), one); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name, one := range v {
			if err := add(name, one); err != nil {
				return nil, err
			}
		}
	default:
		return nil, invalid("The workflows must be an array of objects, or an object of them by name.")
	}
	return list, nil
}
