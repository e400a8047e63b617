package biobank

import (
	"context"
	"slices"

	"aliquot/shared/fault"
)

// ConsentDoc is what a participant has agreed to in a protocol (reference openspecimen-rest.md section 12, ConsentDetail).
type ConsentDoc struct {
	SignedOn  string          `json:"signedOn,omitempty"` // yyyy-MM-dd
	Witness   int64           `json:"witness,omitempty"`
	Comments  string          `json:"comments,omitempty"`
	Responses []ConsentAnswer `json:"responses,omitempty"`
	Form      *ConsentForm    `json:"form,omitempty"`
}

// ConsentAnswer is the answer to a statement.
type ConsentAnswer struct {
	StatementID int64  `json:"statementId"`
	Response    string `json:"response"`
}

// ConsentForm is the signed form: the name of the file, and the object that holds it.
type ConsentForm struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// answers tells whether a statement was answered.
func (d *ConsentDoc) answers(statement int64) bool {
	return d != nil && slices.ContainsFunc(d.Responses, func(a ConsentAnswer) bool { return a.StatementID == statement })
}

// ConsentDetails are what is sent of a participant's consents. The whole replaces what is stored, but for the form; with
// Upsert only what is not blank is set, answers statement by statement.
type ConsentDetails struct {
	SignedOn  string
	Witness   UserRef
	Comments  string
	Responses []ConsentResponse
	Upsert    bool
}

// ConsentResponse is an answer as it is sent.
type ConsentResponse struct {
	Statement StatementRef
	Response  string
}

func (s *ConsentDetails) blank() bool {
	return s.SignedOn == "" && (!s.Witness.Sent() || s.Witness.Clear) && s.Comments == "" && len(s.Responses) == 0
}

// ConsentDraft changes the consents of a registration, which is found as its draft says, and nothing else of it.
type ConsentDraft struct {
	Registration RegistrationDraft
	Details      *ConsentDetails // nil: not sent
	// Form is the signed form; one without a name deletes it.
	Form *ConsentForm
}

func (*ConsentDraft) recordType() Type { return Registration }

func (d *ConsentDraft) want(ctx context.Context, b *Batch, c *Change) error {
	return d.Registration.want(ctx, b, asUpdate(c))
}

func (d *ConsentDraft) read(ctx context.Context, b *Batch, c *Change) error {
	return d.Registration.read(ctx, b, asUpdate(c))
}

// asUpdate is a change whose draft looks for a stored object, whatever the operation is called: consents are changed alike.
func asUpdate(c *Change) *Change {
	up := *c
	up.Op = Update
	return &up
}

func (d *ConsentDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, is, err := d.Registration.find(ctx, b, asUpdate(c))
	if err != nil {
		return err
	}
	if rec == nil {
		if d.Registration.Doc.PPID == "" || c.ByID {
			return missing(Registration, d.Registration.ID)
		}
		return fault.New("CPR_NOT_FOUND", "PPID %q was not found in the collection protocol.", d.Registration.Doc.PPID)
	}
	o.PPID = is.PPID
	if already, err := b.done(ctx, rec, c); already || err != nil {
		return done(o, rec, err)
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return err
	}
	if !b.can(ResConsent, OpUpdate, cp) || !b.can(ResParticipantDeid, OpRead, cp) && !b.can(ResParticipantPhi, OpRead, cp) {
		return denied("change consents in collection protocol " + b.actor.calls(cp))
	}
	var l fault.List
	if d.Details != nil {
		if err := b.consent(ctx, &l, cp, d.Details, &is); err != nil {
			return err
		}
	}
	if d.Form != nil {
		if err := attach(&is, cp, d.Form); err != nil {
			return err
		}
	}
	if len(l) > 0 {
		return l
	}
	return b.change(c, rec, &is, o)
}

// attach gives a registration its signed form, or takes it away.
func attach(is *RegistrationDoc, cp *protocolInfo, form *ConsentForm) error {
	was := is.Consents
	if form.Name == "" {
		if was == nil || was.Form == nil {
			return fault.New("CPR_CONSENT_FORM_NOT_FOUND", "The registration has no signed consent form.")
		}
		form = nil
	} else if cp.doc.ConsentsWaived {
		return fault.New("CP_CONSENTS_WAIVED", "Consents are waived in collection protocol %q.", cp.doc.ShortTitle)
	}
	next := ConsentDoc{}
	if was != nil {
		next = *was
	}
	next.Form = form
	is.Consents = orNone(&next)
	return nil
}

// orNone is nil for consents that hold nothing.
func orNone(d *ConsentDoc) *ConsentDoc {
	if same(d, &ConsentDoc{}) {
		return nil
	}
	return d
}

// consentsOf applies what a registration brings along of consents, which takes the right to them where it changes anything.
func (d *RegistrationDraft) consentsOf(ctx context.Context, b *Batch, l *fault.List, op Operation, cp *protocolInfo, is *RegistrationDoc) error {
	if d.Consents == nil {
		return nil
	}
	was := is.Consents
	if err := b.consent(ctx, l, cp, d.Consents, is); err != nil {
		return err
	}
	if !b.can(ResConsent, op, cp) && !same(&was, &is.Consents) {
		return denied("save consents in collection protocol " + b.actor.calls(cp))
	}
	return nil
}

// consent checks consents and puts them into a registration. Answers to what the protocol asks for no more are kept as long
// as they are not changed.
func (b *Batch) consent(ctx context.Context, l *fault.List, cp *protocolInfo, sent *ConsentDetails, is *RegistrationDoc) error {
	was := is.Consents
	if was == nil {
		was = &ConsentDoc{}
	}
	if sent.blank() {
		if !sent.Upsert {
			is.Consents = orNone(&ConsentDoc{Form: was.Form})
		}
		return nil
	}
	switch {
	case cp.doc.ConsentsWaived:
		l.Add("CP_CONSENTS_WAIVED", "Consents are waived in collection protocol %q.", cp.doc.ShortTitle)
		return nil
	case cp.doc.VisitLevelConsents:
		l.Add("CP_VISIT_CONSENTS_ENABLED", "Collection protocol %q asks for consents with each visit, not with the registration.", cp.doc.ShortTitle)
		return nil
	}
	next := ConsentDoc{Form: was.Form}
	if sent.Upsert {
		next = *was
		next.Responses = slices.Clone(was.Responses)
	}
	if sent.SignedOn != "" {
		next.SignedOn = sent.SignedOn
	}
	if sent.Comments != "" {
		next.Comments = sent.Comments
	}
	tooLong(l, "The comments on the consents", next.Comments, 2000)
	if next.SignedOn > dayAfter(b.at) {
		l.Add("COMMON_DATE_GT_TODAY", "The consents were signed in the future: %s.", next.SignedOn)
	}
	witness, err := b.userID(ctx, sent.Witness, "CPR_CONSENT_WITNESS_NOT_FOUND")
	switch {
	case fault.All(err) != nil:
		l.Append(err)
	case err != nil:
		return err
	case witness != 0:
		next.Witness = witness
	}
	tiers, err := b.tiers(ctx, cp)
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	for _, r := range sent.Responses {
		id, err := b.statement(ctx, r.Statement)
		if err != nil {
			return err
		}
		asked := slices.ContainsFunc(tiers, func(t ProtocolConsent) bool { return t.StatementID == id }) || was.answers(id)
		switch {
		case id == 0 || !asked:
			l.Add("CPR_INVALID_CONSENT_STATEMENT", "Collection protocol %q does not ask for consent to %q.", cp.doc.ShortTitle, r.Statement.told())
			continue
		case seen[id]:
			l.Add("CPR_INVALID_CONSENT_STATEMENT", "Consent statement %q is answered twice.", r.Statement.told())
			continue
		}
		seen[id] = true
		answer := ConsentAnswer{id, r.Response}
		value(l, ConsentResponses, "CPR_INVALID_CONSENT_RESPONSE", "Consent response", &answer.Response)
		at := slices.IndexFunc(next.Responses, func(o ConsentAnswer) bool { return o.StatementID == id })
		switch {
		case answer.Response == "": // not answered
		case at >= 0:
			next.Responses[at] = answer
		default:
			next.Responses = append(next.Responses, answer)
		}
	}
	is.Consents = orNone(&next)
	return nil
}
