package csvimport

import (
	"slices"

	"aliquot/shared/biobank"
)

// Captions that more than one place asks for.
const (
	captionProtocol = "CP Short Title"
	captionPPID     = "PPID"
	captionReason   = "Reason"
	captionLineage  = "Lineage"
	captionActivity = "Activity Status"
)

type registration = biobank.RegistrationDraft

func registrationDoc(d *registration) *biobank.RegistrationDoc { return &d.Doc }

// registrationSchema is cpr, section 2.2.
func registrationSchema() *Schema {
	fields := slices.Concat(
		[]field[*registration]{
			identifier(func(d *registration) *int64 { return &d.ID }),
			ref(captionProtocol, func(d *registration) *string { return &d.Protocol.ShortTitle }),
			text(captionPPID, func(d *registration) *string { return &d.Doc.PPID }),
			day("Registration Date", func(d *registration) *string { return &d.Doc.RegistrationDate }),
			name("Registration Site", func(d *registration) **string { return &d.Site }),
			text("External Subject ID", func(d *registration) *string { return &d.Doc.ExternalSubjectID }),
			text(captionActivity, func(d *registration) *string { return &d.Doc.ActivityStatus }),
			text("Data Entry Status", func(d *registration) *string { return &d.Doc.DataEntryStatus }),
			ignored[*registration](captionReason),
		},
		participantFields(),
	)
	return &Schema{
		objectType: "cpr",
		label:      "Participant Registrations",
		generated:  []string{"OS_IDENTIFIER", "OS_PPID"},
		columns:    columnsOf(fields),
		create:     [][]string{{captionProtocol}, {"Registration Date"}},
		update:     [][]string{{captionIdentifier, captionProtocol}, {captionIdentifier, captionPPID}},
		keys: append([]identityKey{{tag: "cpr", own: true, captions: []string{captionIdentifier}}},
			participantKeys(false)...),
		levels: []biobank.Level{biobank.ParticipantFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.ParticipantFields)
			return func(in *input) biobank.Draft {
				d := &registration{Force: true}
				set := part.read(in, d)
				d.Extension = custom(in)
				in.defaultProtocol(&d.Protocol)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, registrationDoc)
				}
				return d
			}
		},
	}
}

// participantFields are the columns about the person, which cpr and masterSpecimen share.
func participantFields() []field[*registration] {
	return []field[*registration]{
		text("First Name", func(d *registration) *string { return &d.Doc.Participant.FirstName }),
		text("Last Name", func(d *registration) *string { return &d.Doc.Participant.LastName }),
		text("Middle Name", func(d *registration) *string { return &d.Doc.Participant.MiddleName }),
		text("Email Address", func(d *registration) *string { return &d.Doc.Participant.EmailAddress }),
		optFlag("Receive Emails", func(d *registration) **bool { return &d.Doc.Participant.EmailOptIn }),
		text("Phone Number", func(d *registration) *string { return &d.Doc.Participant.PhoneNumber }),
		optFlag("Receive SMSes", func(d *registration) **bool { return &d.Doc.Participant.TextOptIn }),
		optFlag("Consented to Receive SMSes", func(d *registration) **bool {
			return &d.Doc.Participant.TextOptInConsent
		}),
		day("Date Of Birth", func(d *registration) *string { return &d.Doc.Participant.BirthDate }),
		day("Death Date", func(d *registration) *string { return &d.Doc.Participant.DeathDate }),
		text("Gender", func(d *registration) *string { return &d.Doc.Participant.Gender }),
		text("Vital Status", func(d *registration) *string { return &d.Doc.Participant.VitalStatus }),
		list("Race", func(d *registration) *[]string { return &d.Doc.Participant.Races }).aka("Race"),
		list("Ethnicity", func(d *registration) *[]string { return &d.Doc.Participant.Ethnicities }).aka("Ethnicity"),
		text("National ID", func(d *registration) *string { return &d.Doc.Participant.UID }).aka("SSN"),
		text("eMPI", func(d *registration) *string { return &d.Doc.Participant.EMPI }),
		records("PMI", func(d *registration) *[]biobank.PMIRef { return &d.PMIs },
			text("Site Name", func(p *biobank.PMIRef) *string { return &p.Site }),
			text("MRN", func(p *biobank.PMIRef) *string { return &p.MRN }),
		).draftOnly(),
	}
}

// participantKeys say whom a row is about. In a master row only primary ones are about a participant.
func participantKeys(primary bool) []identityKey {
	return []identityKey{
		{tag: "cpr.ppid", own: true, captions: []string{captionPPID}, scoped: true, primary: primary},
		{tag: "participant.empi", own: true, captions: []string{"eMPI"}, primary: primary},
		{tag: "participant.uid", own: true, captions: []string{"National ID"}, primary: primary},
		{tag: "participant.mrn", own: true, captions: []string{"Site Name", "MRN"}, record: "PMI", primary: primary},
	}
}

// defaultProtocol names the protocol of the job where the row names none.
func (in *input) defaultProtocol(p *biobank.ProtocolRef) {
	if !p.Sent() {
		p.ID = in.protocolID
	}
}

func columnsOf[R any](fields []field[R]) []column {
	columns := make([]column, len(fields))
	for i := range fields {
		columns[i] = fields[i].column
	}
	return columns
}
