package api

import (
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Consents of participants (reference openspecimen-rest.md section 12).

func consentRoutes() []route {
	path := registrations().path + "/{id}"
	return append([]route{
		{pattern: "GET " + path + "/consents", summary: "Read what a participant has agreed to", answers: consentView{}, serve: showConsents},
		{pattern: "PUT " + path + "/consents", summary: "Save what a participant has agreed to", answers: consentView{}, serve: saveConsents},
	}, consentFormRoutes()...)
}

// consentView leaves its nulls out. Statements that were not answered are not in it.
type consentView struct {
	CprID        int64                 `json:"cprId"`
	CPID         int64                 `json:"cpId"`
	CPShortTitle string                `json:"cpShortTitle"`
	PPID         string                `json:"ppid"`
	SignedOn     *int64                `json:"consentSignatureDate,omitempty"`
	Witness      *userSummary          `json:"witness,omitempty"`
	Comments     *string               `json:"comments,omitempty"`
	Responses    []consentResponseView `json:"responses"`
	DocumentName *string               `json:"consentDocumentName,omitempty"`
}

type consentResponseView struct {
	Code      string `json:"code"`
	Statement string `json:"statement"`
	Response  string `json:"response"`
}

// consentDetails reads a ConsentDetail.
func (in *input) consentDetails() *biobank.ConsentDetails {
	d := &biobank.ConsentDetails{SignedOn: in.day("consentSignatureDate"), Witness: in.userRef("witness"), Comments: in.text("comments")}
	for _, o := range in.objects("responses") {
		d.Responses = append(d.Responses, biobank.ConsentResponse{Statement: o.statementRef(), Response: o.text("response")})
	}
	return d
}

// seesConsents tells whether the caller may see what participants of a protocol have agreed to.
func (c *call) seesConsents(id int64, protocol biobank.ProtocolDoc) bool {
	return c.actor.Can(biobank.ResConsent, biobank.OpRead, id, protocol.Sites)
}

// consents shows what a participant has agreed to.
func (r *related) consents(rec *biobank.Record, doc biobank.RegistrationDoc, protocol biobank.ProtocolDoc) (consentView, error) {
	v := consentView{
		CprID: rec.ID, CPID: rec.Key.Protocol(), CPShortTitle: protocol.ShortTitle, PPID: doc.PPID,
		Responses: []consentResponseView{},
	}
	is := doc.Consents
	if is == nil {
		return v, nil
	}
	v.SignedOn, v.Comments = dayMillis(is.SignedOn), orNull(is.Comments)
	if is.Form != nil {
		v.DocumentName = orNull(is.Form.Name)
	}
	var err error
	if v.Witness, err = r.summary(is.Witness); err != nil {
		return v, err
	}
	for _, a := range is.Responses {
		statement, err := decodeAt[biobank.StatementDoc](r, setKey(biobank.ConsentStatement, a.StatementID))
		if err != nil {
			return v, err
		}
		v.Responses = append(v.Responses, consentResponseView{statement.Code, statement.Statement, a.Response})
	}
	return v, nil
}

// fetchConsents reads what the views of consents show parts of.
func (r *related) fetchConsents(recs []*biobank.Record) error {
	var keys []biobank.Key
	var witnesses []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
		if err != nil {
			return err
		}
		if doc.Consents == nil {
			continue
		}
		if doc.Consents.Witness != 0 {
			witnesses = append(witnesses, doc.Consents.Witness)
		}
		for _, a := range doc.Consents.Responses {
			keys = append(keys, setKey(biobank.ConsentStatement, a.StatementID))
		}
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchUsers(witnesses...)
}

// consented reads the registration of the path with its protocol, if the caller holds the right to its consents.
func (c *call) consented(op biobank.Operation) (rec *biobank.Record, doc biobank.RegistrationDoc, protocol biobank.ProtocolDoc, err error) {
	if rec, err = c.get(biobank.Registration); err != nil {
		return nil, doc, protocol, err
	}
	r, cp := c.related(), rec.Key.Protocol()
	if err := r.fetch(setKey(biobank.Protocol, cp)); err != nil {
		return nil, doc, protocol, err
	}
	if protocol, err = decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, cp)); err != nil {
		return nil, doc, protocol, err
	}
	if !c.actor.Can(biobank.ResConsent, op, cp, protocol.Sites) {
		return nil, doc, protocol, fault.New("RBAC_ACCESS_DENIED", "You do not have the right to the consents of collection protocol %s.", protocol.ShortTitle)
	}
	doc, err = biobank.Decode[biobank.RegistrationDoc](rec)
	return rec, doc, protocol, err
}

func showConsents(c *call) (any, error) {
	rec, _, _, err := c.consented(biobank.OpRead)
	if err != nil {
		return nil, err
	}
	return c.showConsents(rec)
}

func (c *call) showConsents(rec *biobank.Record) (any, error) {
	r := c.related()
	if err := gatherRegistrations(r, []*biobank.Record{rec}); err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
	if err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, rec.Key.Protocol()))
	if err != nil {
		return nil, err
	}
	return r.consents(rec, doc, protocol)
}

// saveConsents serves PUT: what was sent replaces what there was, but for the signed form.
func saveConsents(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	d := &biobank.ConsentDraft{Registration: biobank.RegistrationDraft{ID: id}, Details: in.consentDetails()}
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: d, Reason: in.text("opComments")})
	if err != nil {
		return nil, err
	}
	return c.showConsents(rec)
}
