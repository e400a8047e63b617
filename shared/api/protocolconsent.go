package api

import (
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// What protocols ask their participants to agree to (reference openspecimen-rest.md section 9).

func protocolConsentRoutes() []route {
	n := protocols()
	path := n.path + "/{id}"
	tiers := path + "/consent-tiers"
	return []route{
		{pattern: "PUT " + path + "/consents-waived", summary: "Say whether consents are waived in a protocol", answers: n.shows, serve: waiveConsents},
		{pattern: "PUT " + path + "/consents-source", summary: "Take the consent tiers of another protocol", answers: n.shows, serve: sourceConsents},
		{pattern: "GET " + tiers, summary: "List the consent tiers that count in a protocol", answers: []tierView{}, serve: listTiers},
		{pattern: "POST " + tiers, summary: "Add a consent tier to a protocol", answers: tierView{}, serve: setTier},
		{pattern: "PUT " + tiers + "/{tier}", summary: "Give a consent tier another statement", answers: tierView{}, serve: setTier},
		{pattern: "DELETE " + tiers + "/{tier}", summary: "Delete a consent tier of a protocol", answers: tierView{}, serve: dropTier},
		{pattern: "GET " + tiers + "/{tier}/dependent-entities", summary: "Count what keeps a consent tier from being deleted", answers: []biobank.Dependent{}, serve: tierDependents},
	}
}

// tierView is a consent tier. cpId is the protocol that has it, which may be another than the one asked for where the
// caller may see that one.
type tierView struct {
	ID            int64  `json:"id"`
	CPID          int64  `json:"cpId"`
	StatementID   int64  `json:"statementId"`
	StatementCode string `json:"statementCode"`
	Statement     string `json:"statement"`
}

type tierDefinition struct {
	StatementCode string `json:"statementCode"`
	Statement     string `json:"statement"`
}

// protocolRefView names a protocol.
type protocolRefView struct {
	ID         int64  `json:"id"`
	ShortTitle string `json:"shortTitle"`
	Title      string `json:"title"`
}

// consentsSource shows where a protocol takes its consents from, to those who may see that protocol.
func (r *related) consentsSource(doc biobank.ProtocolDoc) (*protocolRefView, error) {
	from, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, doc.ConsentsSource))
	if err != nil || doc.ConsentsSource == 0 || !r.c.actor.Can(biobank.ResProtocol, biobank.OpRead, doc.ConsentsSource, from.Sites) {
		return nil, err
	}
	return &protocolRefView{doc.ConsentsSource, from.ShortTitle, from.Title}, nil
}

// asProtocolRef reads an object that is a reference to a protocol.
func (in *input) asProtocolRef() biobank.ProtocolRef {
	ref := in.protocolRef()
	if ref.ID == 0 {
		ref.ID = in.number("id")
	}
	if ref.Title == "" {
		ref.Title = in.text("title")
	}
	if ref.ShortTitle == "" {
		ref.ShortTitle = in.text("shortTitle")
	}
	return ref
}

func waiveConsents(c *call) (any, error) {
	return changeConsents(c, func(in *input, d *biobank.ProtocolConsentsDraft) {
		d.Waive = new(bool)
		*d.Waive = in.flag("consentsWaived")
	})
}

// sourceConsents serves PUT /{id}/consents-source: a reference to a protocol, or an empty one to end it.
func sourceConsents(c *call) (any, error) {
	return changeConsents(c, func(in *input, d *biobank.ProtocolConsentsDraft) {
		ref := in.asProtocolRef()
		d.Source = &ref
	})
}

func changeConsents(c *call, read func(*input, *biobank.ProtocolConsentsDraft)) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	d := &biobank.ProtocolConsentsDraft{ProtocolID: id}
	read(in, d)
	if err := in.err(); err != nil {
		return nil, err
	}
	return c.change(protocols(), d, in.text("opComments"))
}

// tiersOf shows the consent tiers that count in a protocol.
func (c *call) tiersOf(rec *biobank.Record) ([]tierView, error) {
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil {
		return nil, err
	}
	r, owner := c.related(), rec.ID
	if from := doc.ConsentsSource; from != 0 {
		if err := r.fetch(setKey(biobank.Protocol, from)); err != nil {
			return nil, err
		}
		if doc, err = decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, from)); err != nil {
			return nil, err
		}
		if c.actor.Can(biobank.ResProtocol, biobank.OpRead, from, doc.Sites) {
			owner = from
		}
		if doc.ActivityStatus == biobank.StatusDisabled {
			doc.Consents = nil
		}
	}
	var keys []biobank.Key
	for _, t := range doc.Consents {
		keys = append(keys, setKey(biobank.ConsentStatement, t.StatementID))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	views := []tierView{}
	for _, t := range doc.Consents {
		statement, err := decodeAt[biobank.StatementDoc](r, setKey(biobank.ConsentStatement, t.StatementID))
		if err != nil {
			return nil, err
		}
		views = append(views, tierView{t.ID, owner, t.StatementID, statement.Code, statement.Statement})
	}
	return views, nil
}

// tierDefinitions are the consent tiers of its own that a protocol's definition has.
func (c *call) tierDefinitions(rec *biobank.Record) ([]tierDefinition, error) {
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil || doc.ConsentsSource != 0 {
		return nil, err
	}
	tiers, err := c.tiersOf(rec)
	var own []tierDefinition
	for _, t := range tiers {
		own = append(own, tierDefinition{t.StatementCode, t.Statement})
	}
	return own, err
}

func listTiers(c *call) (any, error) {
	rec, err := c.get(biobank.Protocol)
	if err != nil {
		return nil, err
	}
	return c.tiersOf(rec)
}

// pathTier reads which consent tier the path names, 0 where it names none.
func (c *call) pathTier() (int64, error) {
	if c.PathValue("tier") == "" {
		return 0, nil
	}
	tier, err := c.pathID("tier")
	if err == nil && tier == 0 {
		err = noTier(0)
	}
	return tier, err
}

func noTier(tier int64) error {
	return fault.New("CP_CONSENT_TIER_NOT_FOUND", "Consent tier %d was not found.", tier)
}

// setTier serves POST, which adds a consent tier, and PUT, which gives one another statement.
func setTier(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	tier, err := c.pathTier()
	if err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.ProtocolConsentsDraft{ProtocolID: id, Tier: tier, Statement: in.statementRef()}
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: d, Reason: in.text("opComments")})
	if err != nil {
		return nil, err
	}
	return c.tierOf(rec, d.Tier)
}

func (c *call) tierOf(rec *biobank.Record, tier int64) (tierView, error) {
	views, err := c.tiersOf(rec)
	if err != nil {
		return tierView{}, err
	}
	at := slices.IndexFunc(views, func(v tierView) bool { return v.ID == tier })
	if at < 0 {
		return tierView{}, noTier(tier)
	}
	return views[at], nil
}

// dropTier serves DELETE: the consent tier as it was.
func dropTier(c *call) (any, error) {
	tier, err := c.pathTier()
	if err != nil {
		return nil, err
	}
	rec, err := c.get(biobank.Protocol)
	if err != nil {
		return nil, err
	}
	d := &biobank.ProtocolConsentsDraft{ProtocolID: rec.ID, Tier: tier, Drop: true}
	if _, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: d}); err != nil {
		return nil, err
	}
	return c.tierOf(rec, tier)
}

func tierDependents(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	tier, err := c.pathTier()
	if err != nil {
		return nil, err
	}
	return c.api.Registry.TierDependents(c.Context(), c.actor, id, tier)
}
