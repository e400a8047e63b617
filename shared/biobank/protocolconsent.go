package biobank

import (
	"context"
	"fmt"
	"slices"

	"aliquot/shared/fault"
)

// What a protocol asks its participants to agree to (reference openspecimen-rest.md section 9). The statements are
// referred to: a protocol has tiers, or takes those of another protocol, or waives consents.

// ProtocolConsent is a consent tier: a statement that participants are asked to agree to.
type ProtocolConsent struct {
	ID          int64 `json:"id"`
	StatementID int64 `json:"statementId"`
}

// maxConsents is how many tiers a protocol can have.
const maxConsents = 200

// ProtocolConsentsDraft changes what a protocol asks for: one of Waive, Source and a tier.
type ProtocolConsentsDraft struct {
	ProtocolID int64
	// Waive sets whether consents are waived.
	Waive *bool
	// Source names the protocol whose tiers count; one that was not sent stands for the protocol's own.
	Source *ProtocolRef
	// Tier is the tier to change or, with Drop, to delete; 0 for a new one. It is set to the new one's id.
	Tier      int64
	Statement StatementRef
	Drop      bool
}

func (*ProtocolConsentsDraft) recordType() Type { return Protocol }

func (d *ProtocolConsentsDraft) want(context.Context, *Batch, *Change) error { return nil }

func (d *ProtocolConsentsDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(SetKey(Protocol, d.ProtocolID))
	return nil
}

func (d *ProtocolConsentsDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, err := b.rec(ctx, SetKey(Protocol, d.ProtocolID))
	if err != nil {
		return err
	}
	is, err := Decode[ProtocolDoc](rec)
	if err != nil {
		return err
	}
	if rec == nil || is.ActivityStatus == StatusDisabled {
		return missing(Protocol, d.ProtocolID)
	}
	if !b.actor.Can(ResProtocol, OpUpdate, rec.ID, is.Sites) {
		return denied("change the consents of collection protocol " + b.actor.callsProtocol(rec.ID, &is))
	}
	switch {
	case d.Waive != nil:
		err = waive(&is, *d.Waive)
	case d.Source != nil:
		err = b.source(ctx, rec.ID, &is, *d.Source)
	default:
		err = d.tier(ctx, b, c, rec, &is)
	}
	if err != nil {
		return err
	}
	delete(b.protocols, rec.ID) // read anew by whoever needs it next
	return b.change(c, rec, &is, o)
}

func waive(is *ProtocolDoc, waived bool) error {
	switch {
	case waived == is.ConsentsWaived:
	case len(is.Consents) > 0:
		return fault.New("CP_CONSENT_TIER_FOUND", "Collection protocol %q has %d consent tiers; delete them first.", is.ShortTitle, len(is.Consents))
	case is.ConsentsSource != 0:
		return fault.New("CP_CONSENTS_SOURCED", "Collection protocol %q takes its consents from another one; end that first.", is.ShortTitle)
	}
	is.ConsentsWaived = waived
	return nil
}

// source sets whose tiers count. It must be a protocol that has its own: who takes from whom is one step.
func (b *Batch) source(ctx context.Context, cp int64, is *ProtocolDoc, ref ProtocolRef) error {
	if !ref.Sent() {
		is.ConsentsSource = 0
		return nil
	}
	from, err := b.protocol(ctx, ref)
	if fault.All(err) != nil || err == nil && !b.can(ResProtocol, OpRead, from) {
		return fault.New("CP_CONSENTS_SOURCE_NOT_FOUND", "The collection protocol to take the consents from was not found.")
	} else if err != nil {
		return err
	}
	switch {
	case from.id == is.ConsentsSource:
	case is.ConsentsWaived:
		return fault.New("CP_CONSENTS_WAIVED", "Consents are waived in collection protocol %q.", is.ShortTitle)
	case len(is.Consents) > 0:
		return fault.New("CP_CONSENT_TIER_FOUND", "Collection protocol %q has %d consent tiers of its own; delete them first.", is.ShortTitle, len(is.Consents))
	case from.id == cp, from.doc.ConsentsSource != 0:
		return fault.New("CP_CONSENTS_SOURCED", "Collection protocol %q has no consent tiers of its own to take.", from.doc.ShortTitle)
	case from.doc.ConsentsWaived:
		return fault.New("CP_CONSENTS_WAIVED", "Consents are waived in collection protocol %q.", from.doc.ShortTitle)
	}
	is.ConsentsSource = from.id
	return nil
}

// consents gives a new protocol the consent tiers that it comes with.
func (d *ProtocolDraft) consents(ctx context.Context, b *Batch, c *Change, is *ProtocolDoc) error {
	if d.ConsentsSource.Sent() {
		if err := b.source(ctx, 0, is, d.ConsentsSource); err != nil {
			return err
		}
	}
	var l fault.List
	for _, ref := range d.Consents {
		one := ProtocolConsentsDraft{Statement: ref}
		if err := one.tier(ctx, b, c, nil, is); fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		}
	}
	return l.Err()
}

// tier adds, changes or deletes a consent tier.
func (d *ProtocolConsentsDraft) tier(ctx context.Context, b *Batch, c *Change, rec *Record, is *ProtocolDoc) error {
	at := slices.IndexFunc(is.Consents, func(t ProtocolConsent) bool { return t.ID == d.Tier })
	switch {
	case is.ConsentsSource != 0:
		return fault.New("CP_CONSENTS_SOURCED", "Collection protocol %q takes its consents from another one.", is.ShortTitle)
	case is.ConsentsWaived:
		return fault.New("CP_CONSENTS_WAIVED", "Consents are waived in collection protocol %q.", is.ShortTitle)
	case d.Tier != 0 && at < 0:
		return fault.New("CP_CONSENT_TIER_NOT_FOUND", "Collection protocol %q has no consent tier %d.", is.ShortTitle, d.Tier)
	case d.Drop:
		var answered bool
		err := b.look(ctx, func(ctx context.Context) (err error) {
			answered, err = (&Registry{Store: b.store}).answered(ctx, rec.ID, is.Consents[at].StatementID)
			return err
		})
		if err != nil {
			return err
		}
		if answered {
			return fault.New("CP_CONSENT_REF_ENTITY_FOUND", "Participants have answered the statement of the consent tier.")
		}
		is.Consents = slices.Delete(is.Consents, at, at+1)
		return nil
	case !d.Statement.Sent():
		return fault.New("CONSENT_STATEMENT_REQUIRED", "Give the consent statement: statementId, statementCode or statement.")
	}
	id, err := b.statement(ctx, d.Statement)
	if err != nil {
		return err
	}
	if id == 0 {
		return fault.New("CONSENT_STATEMENT_NOT_FOUND", "Consent statement %q was not found.", d.Statement.told())
	}
	if same := slices.IndexFunc(is.Consents, func(t ProtocolConsent) bool { return t.StatementID == id }); same >= 0 && same != at {
		return fault.New("CP_DUP_CONSENT", "Collection protocol %q has the consent statement %q already.", is.ShortTitle, d.Statement.told())
	}
	if at >= 0 {
		is.Consents = slices.Clone(is.Consents)
		is.Consents[at].StatementID = id
		return nil
	}
	if len(is.Consents) >= maxConsents {
		return fault.New("COMMON_INVALID_INPUT", "Collection protocol %q has %d consent tiers; more are not possible.", is.ShortTitle, maxConsents)
	}
	if d.Tier, err = b.number(ctx, c, "consentTier"); err != nil {
		return err
	}
	is.Consents = append(is.Consents, ProtocolConsent{d.Tier, id})
	return nil
}

// askers are a protocol and those that take their consents from it.
func (r *Registry) askers(ctx context.Context, cp int64) ([]*Record, error) {
	all, err := r.Store.List(ctx, string(Protocol), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list protocols: %w", err)
	}
	var asks []*Record
	for _, rec := range all {
		doc, err := Decode[ProtocolDoc](rec)
		if err != nil {
			return nil, err
		}
		if rec.ID == cp || doc.ConsentsSource == cp && doc.ActivityStatus != StatusDisabled {
			asks = append(asks, rec)
		}
	}
	return asks, nil
}

// answer tells whether a record is a live registration whose participant has answered a statement.
func answer(rec *Record, statement int64) (bool, error) {
	doc, err := Decode[RegistrationDoc](rec)
	return rec.Type == Registration && doc.ActivityStatus != StatusDisabled && doc.Consents.answers(statement), err
}

// answered tells whether a participant of a protocol, or of one that takes its consents from it, has answered a statement.
func (r *Registry) answered(ctx context.Context, cp, statement int64) (bool, error) {
	asks, err := r.askers(ctx, cp)
	if err != nil {
		return false, err
	}
	for _, one := range asks {
		found, err := r.Any(ctx, one.ID, Registrations, func(rec *Record) (bool, error) { return answer(rec, statement) })
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// TierDependents counts what keeps a consent tier from being deleted, for those who may see the protocol: the participants who
// have answered it whose consents the actor may read, up to maxTally in each protocol.
func (r *Registry) TierDependents(ctx context.Context, a *Actor, cp, tier int64) ([]Dependent, error) {
	rec, err := r.Get(ctx, a, Protocol, cp)
	if err != nil {
		return nil, err
	}
	doc, err := Decode[ProtocolDoc](rec)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(doc.Consents, func(t ProtocolConsent) bool { return t.ID == tier })
	if at < 0 {
		return nil, fault.New("CP_CONSENT_TIER_NOT_FOUND", "Collection protocol %q has no consent tier %d.", doc.ShortTitle, tier)
	}
	asks, err := r.askers(ctx, cp)
	if err != nil {
		return nil, err
	}
	count := tally{}
	for _, one := range asks {
		sites, err := Decode[ProtocolDoc](one)
		if err != nil {
			return nil, err
		}
		if !a.Can(ResConsent, OpRead, one.ID, sites.Sites) {
			continue
		}
		here := tally{}
		if err := r.tallyTree(ctx, one.ID, Registrations, a, here, func(reg *Record) (string, error) {
			if is, err := answer(reg, doc.Consents[at].StatementID); !is || err != nil {
				return "", err
			}
			return "collection_protocol_registration", nil
		}); err != nil {
			return nil, err
		}
		for name, n := range here {
			count[name] += n
		}
	}
	return count.list(), nil
}

// tiers are the consent tiers that count in a protocol: its own, or those of the protocol it takes them from; none when that
// one is deleted.
func (b *Batch) tiers(ctx context.Context, cp *protocolInfo) ([]ProtocolConsent, error) {
	if cp.doc.ConsentsSource == 0 {
		return cp.doc.Consents, nil
	}
	from, err := b.protocol(ctx, ProtocolRef{ID: cp.doc.ConsentsSource})
	if fault.All(err) != nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return from.doc.Consents, nil
}
