package api

import (
	"aliquot/shared/biobank"
)

// show builds the view of a record.
type show func(c *call, rec *biobank.Record) (any, error)

// getRoute serves GET <path>/{id}: the record, if the caller may read it.
func getRoute(path string, t biobank.Type, view show) route {
	return route{pattern: "GET " + path + "/{id}", serve: func(c *call) (any, error) {
		id, err := c.pathID("id")
		if err != nil {
			return nil, err
		}
		rec, err := c.api.Registry.Get(c.Context(), c.actor, t, id)
		if err != nil {
			return nil, err
		}
		return view(c, rec)
	}}
}

// createRoute serves POST <path>: it answers with the new record as GET would.
func createRoute(path string, draft func(in *input) biobank.Draft, view show) route {
	return route{pattern: "POST " + path, serve: func(c *call) (any, error) {
		in, err := c.body()
		if err != nil {
			return nil, err
		}
		d := draft(in)
		if err := in.err(); err != nil {
			return nil, err
		}
		rec, err := c.apply(biobank.Create, d, in.text("opComments"))
		if err != nil {
			return nil, err
		}
		return view(c, rec)
	}}
}

// apply does one change for the caller and returns the record.
func (c *call) apply(op biobank.Op, d biobank.Draft, reason string) (*biobank.Record, error) {
	out, err := c.api.Registry.Apply(c.Context(), c.actor, c.at, []biobank.Change{{Op: op, Draft: d, ID: c.id, Reason: reason}})
	if err != nil {
		return nil, err
	}
	return out[0].Record, out[0].Err
}

// userRef reads a reference to a user: an object with id, emailAddress, or loginName and domain; null asks for none.
func (in *input) userRef(name string) biobank.UserRef {
	o := in.object(name)
	if o == nil {
		return biobank.UserRef{Clear: in.sent(name)}
	}
	return o.asUserRef()
}

func (in *input) asUserRef() biobank.UserRef {
	ref := biobank.UserRef{ID: in.number("id"), Email: in.text("emailAddress"), Login: in.text("loginName"), Domain: in.text("domain")}
	if ref.Domain == "" {
		ref.Domain = in.text("domainName")
	}
	ref.Clear = !ref.Sent()
	return ref
}

// userRefs reads an array of them, nil when absent.
func (in *input) userRefs(name string) []biobank.UserRef {
	list := in.objects(name)
	if list == nil {
		return nil
	}
	refs := []biobank.UserRef{}
	for _, o := range list {
		if ref := o.asUserRef(); ref.ID != 0 || ref.Email != "" || ref.Login != "" {
			refs = append(refs, ref)
		}
	}
	return refs
}
