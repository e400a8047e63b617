package csvimport

import "aliquot/shared/biobank"

type consent struct {
	biobank.ConsentDraft
	details  biobank.ConsentDetails
	response biobank.ConsentResponse
}

// consentSchema is consent, section 2.3: a row tells of one answer, or of when and by whom the consents were signed, and
// leaves the rest as it is. The reference merges the rows of one participant before it saves them; here each is saved by
// itself, so that one that fails keeps no other from being saved.
func consentSchema() *Schema {
	participant := func(d *consent) *registration { return &d.Registration }
	fields := []field[*consent]{
		ref(captionProtocol, func(d *consent) *string { return &participant(d).Protocol.ShortTitle }),
		ref(captionPPID, func(d *consent) *string { return &participant(d).Doc.PPID }),
		day("Consent Date", func(d *consent) *string { return &d.details.SignedOn }).fixed(),
		user("Consent Witness#Email Address", func(d *consent) *biobank.UserRef { return &d.details.Witness }).fixed(),
		ref("Consent Comments", func(d *consent) *string { return &d.details.Comments }),
		ref("Consent Statement", func(d *consent) *string { return &d.response.Statement.Statement }),
		ref("Consent Statement Code", func(d *consent) *string { return &d.response.Statement.Code }),
		ref("Consent Response", func(d *consent) *string { return &d.response.Response }),
		unsupported[*consent]("Signed Consent Form"),
	}
	return &Schema{
		objectType: "consent",
		label:      "Consents",
		generated:  []string{"OS_IDENTIFIER", "OS_PPID"},
		columns:    columnsOf(fields),
		update:     [][]string{{captionProtocol}, {captionPPID}},
		op:         biobank.Update,
		several:    true,
		keys:       []identityKey{{tag: "cpr.ppid", own: true, captions: []string{captionPPID}, scoped: true}},
		binder: func(h *header, _ Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &consent{details: biobank.ConsentDetails{Upsert: true}}
				part.read(in, d)
				in.defaultProtocol(&d.Registration.Protocol)
				if d.response.Statement.Sent() || d.response.Response != "" {
					d.details.Responses = []biobank.ConsentResponse{d.response}
				}
				d.Details = &d.details
				return &d.ConsentDraft
			}
		},
	}
}
