package biobank

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// What happened to specimens and containers, read out of their audit: where they were, and in whose hands.

// Transfer is a change of where an object lies.
type Transfer struct {
	From, To         *Location // nil: not in a container
	FromSite, ToSite int64     // of a container at the top of a site
	By, At           int64
	Reason           string
}

// Transfers tells how a container that the actor may see came to where it lies, oldest first: its first place is the first
// of them. What the caller said about a move counts more than who made it, and when.
func (r *Registry) Transfers(ctx context.Context, a *Actor, id int64) ([]Transfer, error) {
	h, err := r.History(ctx, a, Container, id)
	if err != nil {
		return nil, err
	}
	type place struct {
		Parent *Location `json:"parent"`
		SiteID int64     `json:"siteId"`
		Moved  *Move     `json:"moved"`
	}
	var was place
	var out []Transfer
	err = states(h, func(e *Entry, is place) error {
		if is.SiteID != was.SiteID || !sameLocation(is.Parent, was.Parent) {
			move := Transfer{From: was.Parent, To: is.Parent, FromSite: was.SiteID, ToSite: is.SiteID}
			out = append(out, move.told(e, is.Moved))
		}
		was = is
		return nil
	})
	return out, err
}

// told fills in who moved the object, when and why.
func (t Transfer) told(e *Entry, m *Move) Transfer {
	m = cmp.Or(m, &Move{})
	t.By, t.At, t.Reason = cmp.Or(m.By, e.By), cmp.Or(m.At, e.At), cmp.Or(m.Comments, e.Reason)
	return t
}

func sameLocation(a, b *Location) bool { return a == nil && b == nil || sameCell(a, b) }

// SpecimenEvents is what happened to a specimen since it was made, each kind oldest first.
type SpecimenEvents struct {
	Transfers []Transfer
	Custody   []CustodyChange
	Disposals []DisposalEvent
}

// CustodyChange is what a reservation, an order or a shipment made of a specimen.
type CustodyChange struct {
	Was, Is Custody
	By, At  int64
}

// EventsOf tells what happened to a specimen that the actor may see. That it was stored when it was made is no transfer.
func (r *Registry) EventsOf(ctx context.Context, a *Actor, specimen int64) (*SpecimenEvents, error) {
	h, err := r.History(ctx, a, Specimen, specimen)
	if err != nil {
		return nil, err
	}
	type state struct {
		Location *Location      `json:"location"`
		Moved    *Move          `json:"moved"`
		Custody  Custody        `json:"custody"`
		Disposal *DisposalEvent `json:"disposalEvent"`
	}
	var was state
	out := &SpecimenEvents{}
	err = states(h, func(e *Entry, is state) error {
		if !sameLocation(is.Location, was.Location) && e.Version > 1 {
			out.Transfers = append(out.Transfers, Transfer{From: was.Location, To: is.Location}.told(e, is.Moved))
		}
		if is.Disposal != nil && (was.Disposal == nil || *is.Disposal != *was.Disposal) {
			out.Disposals = append(out.Disposals, *is.Disposal)
		}
		out.Custody = append(out.Custody, CustodyChange{was.Custody, is.Custody, e.By, e.At})
		was = is
		return nil
	})
	return out, err
}

// states tells what an object said after its creation and after each change, of the members that S has.
func states[S any](h *History, each func(*Entry, S) error) error {
	members := map[string]json.RawMessage{}
	for _, e := range h.Entries {
		before, err := membersOf(e.Before)
		if err != nil {
			return fmt.Errorf("decode an audit entry of %s %d: %w", h.Record.Type, h.Record.ID, err)
		}
		after, err := membersOf(e.After)
		if err != nil {
			return fmt.Errorf("decode an audit entry of %s %d: %w", h.Record.Type, h.Record.ID, err)
		}
		for name := range before {
			delete(members, name)
		}
		for name, v := range after {
			members[name] = v
		}
		doc, err := json.Marshal(members)
		if err != nil {
			return err
		}
		var is S
		if err := json.Unmarshal(doc, &is); err != nil {
			return fmt.Errorf("decode what %s %d was: %w", h.Record.Type, h.Record.ID, err)
		}
		if err := each(e, is); err != nil {
			return err
		}
	}
	return nil
}

// membersOf takes an object of an audit entry apart; one that is left out has none.
func membersOf(doc json.RawMessage) (members map[string]json.RawMessage, err error) {
	if len(doc) > 0 {
		err = json.Unmarshal(doc, &members)
	}
	return members, err
}
