package clinical

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"aliquot/shared/odm"
)

// audited are the states of something of which it is told how they changed (section 6.6). How it began is no entry: who made
// it when is told beside it (CreatedBy, CreatedDate), and the worked retrieval of the contract has none.
type audited []auditedProperty

// auditedProperty is a state, by its name in the record, of which changes are told. Other properties follow from values.
type auditedProperty struct {
	name, words string
	shown       string // the name that it has in documents
	usual       string // its value in the beginning, of those that may have another: then it changed right then
	// as are words for values, nil for the values themselves.
	as map[string]string
}

// signatureAttested is what is said of an attestation that came without a signature, for which no words are known.
const signatureAttested = "Study Event signature attested"

const subjectChanged = "Study subject value changed" // of 3.x; 4.x has no words for it

// masked takes the place of contact data.
var masked = map[string]string{"": "Masked"}

var (
	auditedSubject = audited{
		{name: "removed", words: "Participant status changed", shown: "Status", as: map[string]string{"No": "Available", "Yes": "Removed"}},
		{name: "signed", words: "Participant status changed", shown: "Status", as: map[string]string{"No": "Available", "Yes": "signed"}},
		{name: "uniqueIdentifier", words: subjectChanged, shown: "UniqueIdentifier"},
		{name: "secondaryId", words: subjectChanged, shown: "SecondaryID"},
		{name: "yearOfBirth", words: subjectChanged, shown: "YearOfBirth"},
		{name: "dateOfBirth", words: subjectChanged, shown: "DateOfBirth"},
		{name: "sex", words: subjectChanged, shown: "Sex"},
		{name: "enrollmentDate", words: subjectChanged, shown: "EnrollmentDate"},
		{name: "firstName", words: subjectChanged, shown: "FirstName", as: masked},
		{name: "lastName", words: subjectChanged, shown: "LastName", as: masked},
		{name: "email", words: subjectChanged, shown: "Email", as: masked},
		{name: "phone", words: subjectChanged, shown: "Phone", as: masked},
	}
	auditedEvent = audited{
		{name: "status", words: "Study Event workflow status changed", shown: "WorkflowStatus"},
		{name: "startDate", words: "Study Event start date changed", shown: "StartDate"},
		{name: "endDate", words: "Study Event end date changed", shown: "EndDate"},
		{name: "signed", words: "Study Event signed status changed", shown: "Signed", usual: "No"},
		{name: "locked", words: "Study Event locked status changed", shown: "Locked"},
		{name: "removed", words: "Study Event removed status changed", shown: "Removed"},
		{name: "archived", words: "Study Event archived status changed", shown: "Archived"},
	}
	auditedForm = audited{
		{name: "status", words: "Event CRF workflow status changed", shown: "WorkflowStatus"},
		{name: "sdv", words: "Event CRF SDV Status updated", shown: "SdvStatus"},
		{name: "removed", words: "Event CRF removed status changed", shown: "Removed"},
		{name: "archived", words: "Event CRF archived status changed", shown: "Archived"},
	}
)

func (a audited) property(name string) *auditedProperty {
	for i := range a {
		if a[i].name == name {
			return &a[i]
		}
	}
	return nil
}

// say is a value in the words for it.
func (p *auditedProperty) say(value string) string {
	switch {
	case p.as == nil || value == "":
		return value
	case p.as[value] != "":
		return p.as[value]
	}
	return p.as[""]
}

// beginning is when something began, with those of its states now that it may have had from then on; none of a participant.
type beginning struct {
	by, at int64
	now    map[string]string
	// attested are all attestations that an event has now.
	attested []string
	// unsure tells that an import is writing: some of this may be its work, which the history does not tell of yet.
	unsure bool
}

// audits emits the changes of the states of something. Its place is a sort key, with formLevel and an OID for a
// form in an event.
func (g *given) audits(ctx context.Context, place string, of audited, b beginning) error {
	if g.logs == nil {
		return nil
	}
	var out odm.AuditLogs
	said := "" // the last attestation
	add := func(c change, words, valueType, old, new, details string) error {
		log, err := g.log(ctx, c.by, c.at, place, c.property, c.version)
		log.AuditType, log.ValueType, log.OldValue, log.NewValue, log.ReasonForChange, log.Details = words, valueType, old, new, c.reason, details
		out.AuditLog = append(out.AuditLog, log)
		return err
	}
	state := func(p *auditedProperty, c change, old, new string) error {
		details := ""
		if p.name == "signed" && new == "Yes" {
			details = said
		}
		return add(c, p.words, p.shown, p.say(old), p.say(new), details)
	}
	// The last attestation is told with the signature that came with it, any other for itself.
	attest := func(c change, texts []string, signed bool) error {
		for i, text := range texts {
			if said = text; signed && i == len(texts)-1 {
				break
			}
			c.property = fmt.Sprint(attestations, i)
			if err := add(c, signatureAttested, "Attestation", "", "", text); err != nil {
				return err
			}
		}
		return nil
	}
	changes := g.logs.states[place]
	first := map[string]string{}
	maps.Copy(first, b.now)
	for i := len(changes) - 1; i >= 0; i-- {
		first[changes[i].property] = changes[i].old
		b.attested = b.attested[:len(b.attested)-len(changes[i].attested)]
	}
	if b.unsure { // whose it is will be known when the import has written
		b.now, b.attested = nil, nil
	}
	if err := attest(change{by: b.by, at: b.at}, b.attested, first["signed"] == "Yes"); err != nil {
		return err
	}
	for i := range of {
		p := &of[i]
		if _, may := b.now[p.name]; !may || first[p.name] == p.usual {
			continue
		}
		if err := state(p, change{by: b.by, at: b.at, property: p.name}, p.usual, first[p.name]); err != nil {
			return err
		}
	}
	for i, c := range changes {
		if c.property == attestations {
			signed := slices.ContainsFunc(changes[i:], func(o change) bool { return o.version == c.version && o.property == "signed" && o.new == "Yes" })
			if err := attest(c, c.attested, signed); err != nil {
				return err
			}
			continue
		}
		if err := state(of.property(c.property), c, c.old, c.new); err != nil {
			return err
		}
	}
	if len(out.AuditLog) == 0 {
		return nil
	}
	return g.emit(&out)
}

// reasonFor is what the note of a change says, if the change has one.
func reasonFor(notes []*Thread, c change) string {
	for _, t := range notes {
		if t.Kind != KindReason {
			continue
		}
		for _, said := range t.Children {
			if said.At == c.at && said.By == c.by {
				return said.Text
			}
		}
	}
	return ""
}
