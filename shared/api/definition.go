package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"aliquot/shared/biobank"
)

// Definitions of protocols and copies (reference openspecimen-rest.md sections 9 to 11).
//
// A definition is the protocol as it is shown, with its events, each with its requirements as trees (member
// specimenRequirements), and its workflows. A copy is the definition of what is copied, made anew, with what was sent in
// the place of what it says: closed events and requirements, codes of the object itself, and people who are deleted since
// are left out.

// protocolDefinition is a protocol with all that defines it.
type protocolDefinition struct {
	protocolView
	Events    []eventDefinition          `json:"events"`
	Consents  []tierDefinition           `json:"consents,omitempty"`
	Units     []biobank.Unit             `json:"units,omitempty"`
	Workflows map[string]json.RawMessage `json:"workflows,omitempty"`
}

type eventDefinition struct {
	eventView
	Requirements []requirementView `json:"specimenRequirements"`
}

// definition reads the definition of a protocol that the caller may see.
func (c *call) definition(rec *biobank.Record) (protocolDefinition, error) {
	var def protocolDefinition
	all, err := c.api.Registry.Definitions(c.Context(), c.actor, rec.ID)
	if err != nil {
		return def, err
	}
	shown, err := c.showOne(protocols(), rec)
	if err != nil {
		return def, err
	}
	def.protocolView = shown.(protocolView)
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil {
		return def, err
	}
	def.Units = doc.Units
	if def.Consents, err = c.tierDefinitions(rec); err != nil {
		return def, err
	}
	if _, def.Workflows, err = c.api.Registry.WorkflowsOf(c.Context(), c.actor, rec.ID); err != nil {
		return def, err
	}
	var list []*biobank.Record
	for _, one := range all {
		if one.Type == biobank.Event {
			list = append(list, one)
		}
	}
	if list, err = sorted(list, func(int64, *biobank.EventDoc) bool { return true }, byPoint); err != nil {
		return def, err
	}
	def.Events, err = c.eventDefinitions(all, list)
	return def, err
}

// eventDefinitions shows events with the requirements among all.
func (c *call) eventDefinitions(all, list []*biobank.Record) ([]eventDefinition, error) {
	r := c.related()
	below := map[biobank.Key][]*biobank.Record{}
	for _, one := range all {
		if one.Type == biobank.Requirement {
			below[one.Key.Above(1)] = append(below[one.Key.Above(1)], one)
		}
	}
	defs := []eventDefinition{}
	views, err := r.show(events(), list...)
	if err != nil {
		return nil, err
	}
	for i, event := range list {
		def := eventDefinition{eventView: views[i].(eventView), Requirements: []requirementView{}}
		r.below[event.Key] = below[event.Key]
		if err := r.fetchRequirementUsers(below[event.Key]); err != nil {
			return nil, err
		}
		for _, one := range below[event.Key] {
			doc, err := biobank.Decode[biobank.RequirementDoc](one)
			if err != nil {
				return nil, err
			}
			if doc.ParentID != 0 || doc.PoolID != 0 {
				continue
			}
			v, err := viewRequirement(r, one)
			if err != nil {
				return nil, err
			}
			def.Requirements = append(def.Requirements, v.(requirementView))
		}
		sortRequirements(def.Requirements)
		defs = append(defs, def)
	}
	return defs, nil
}

// exportDefinition serves GET /{id}/definition as a file. Without includeIds it names nothing by its number, so that it can
// be imported elsewhere.
func exportDefinition(c *call) (any, error) {
	q := c.query()
	withIDs := q.flag("includeIds", false)
	if q.wrong != nil {
		return nil, q.wrong
	}
	rec, err := c.get(biobank.Protocol)
	if err != nil {
		return nil, err
	}
	def, err := c.definition(rec)
	if err != nil {
		return nil, err
	}
	members, err := asMembers(def)
	if err != nil {
		return nil, err
	}
	if !withIDs {
		withoutIDs(members)
	}
	body, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return nil, err
	}
	return attachment{name: fmt.Sprintf("CpDef_%d.json", rec.ID), contentType: "application/json;charset=UTF-8", body: body}, nil
}

// attachment is an answer that is a file of a few megabytes at most.
type attachment struct {
	name, contentType string
	body              []byte
}

func (a attachment) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", a.name))
	_, _ = w.Write(a.body) // the caller may have hung up; there is nobody left to tell
	return nil
}

// asMembers is a view as the members of its JSON.
func asMembers(view any) (map[string]any, error) {
	body, err := json.Marshal(view)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	members := map[string]any{}
	err = d.Decode(&members)
	return members, err
}

// withoutIDs takes out the members that number things. What is a user or a site is named by more than its id.
func withoutIDs(v any) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			withoutIDs(one)
		}
	case map[string]any:
		for name, member := range v {
			switch name {
			case "id", "cpId", "eventId", "uid", "parentUid", "pooledSpecimenId":
				delete(v, name)
			case "workflows", "defaultCustomFieldValues", "services": // the clients' own
			default:
				withoutIDs(member)
			}
		}
	}
}

// importDefinition serves POST /definition: a new protocol from an exported definition, as the part "file" of a multipart
// body or as the body itself.
func importDefinition(c *call) (any, error) {
	in, err := c.definitionSent()
	if err != nil {
		return nil, err
	}
	d, err := definitionDraft(in)
	if err != nil {
		return nil, err
	}
	return c.make(protocols(), d, in)
}

func (c *call) definitionSent() (*input, error) {
	if !strings.HasPrefix(c.Header.Get("Content-Type"), "multipart/") {
		return c.body()
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, maxBody)
	_, part, err := c.filePart()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(part)
	if err != nil {
		return nil, uploadBroke(err)
	}
	return decode(bytes.TrimPrefix(text, []byte("\ufeff")))
}

// definitionDraft reads a definition.
func definitionDraft(in *input) (*biobank.DefinitionDraft, error) {
	d := &biobank.DefinitionDraft{Protocol: protocolDraft(in, 0).(*biobank.ProtocolDraft)}
	for _, event := range in.objects("events") {
		d.Events = append(d.Events, eventNode(event))
	}
	flows, err := workflowsOf(in.raw("workflows"))
	if err == nil {
		err = in.err()
	}
	d.Workflows = flows
	return d, err
}

// copyProtocol serves POST /{id}/copy. The titles must be given; other members that are not sent are as in the source.
func copyProtocol(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	if _, err := definitionDraft(in); err != nil {
		return nil, err
	}
	rec, err := c.get(biobank.Protocol)
	if err != nil {
		return nil, err
	}
	def, err := c.definition(rec)
	if err != nil {
		return nil, err
	}
	if in, err = in.over(def, "shortTitle", "title", "code"); err != nil {
		return nil, err
	}
	d, err := definitionDraft(in)
	if err != nil {
		return nil, err
	}
	return c.make(protocols(), d, in)
}

// copyEvent serves POST /{id}/copy of events: another event with the open requirements of the first.
func copyEvent(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	eventDraft(in, 0)
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.get(biobank.Event)
	if err != nil {
		return nil, err
	}
	all, err := c.api.Registry.Definitions(c.Context(), c.actor, rec.Key.Protocol())
	if err != nil {
		return nil, err
	}
	defs, err := c.eventDefinitions(all, []*biobank.Record{rec})
	if err != nil {
		return nil, err
	}
	// The protocol that was sent counts, whichever way it was named, and not that of the original.
	if in.sent("cpShortTitle") && !in.sent("collectionProtocol") {
		in, err = in.over(defs[0], "code", "collectionProtocol")
	} else {
		in, err = in.over(defs[0], "code")
	}
	if err != nil {
		return nil, err
	}
	d := eventNode(in)
	if err := in.err(); err != nil {
		return nil, err
	}
	return c.make(events(), d, in)
}

// over is a view as the body of a request would be, with the members that were sent in place of its own and without those
// that belong to the original alone.
func (in *input) over(view any, own ...string) (*input, error) {
	members, err := asMembers(view)
	if err != nil {
		return nil, err
	}
	onlyOpen(members)
	for _, name := range own {
		delete(members, name)
	}
	for _, name := range []string{"id", "activityStatus", "opComments"} {
		delete(members, name)
	}
	for name, v := range in.members {
		switch name {
		case "id", "children", "specimensPool", "specimenRequirements", "events":
		default:
			members[name] = v
		}
	}
	return &input{members: members, wrong: in.wrong}, nil
}

// onlyOpen takes out of a view's members and lists what is closed or deleted; people only when they are deleted.
func onlyOpen(members map[string]any) {
	shut := func(v any) bool {
		o, _ := v.(map[string]any)
		if _, person := o["loginName"]; person {
			return o["activityStatus"] == biobank.StatusDisabled
		}
		return o["activityStatus"] == biobank.StatusClosed || o["activityStatus"] == biobank.StatusDisabled
	}
	for name, member := range members {
		switch member := member.(type) {
		case map[string]any:
			if name == "workflows" || name == "defaultCustomFieldValues" {
				continue
			}
			if shut(member) {
				delete(members, name)
				continue
			}
			onlyOpen(member)
		case []any:
			kept := []any{}
			for _, one := range member {
				if shut(one) {
					continue
				}
				if o, ok := one.(map[string]any); ok {
					onlyOpen(o)
				}
				kept = append(kept, one)
			}
			members[name] = kept
		}
	}
}
