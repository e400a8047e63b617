package odmexport

import (
	"cmp"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// fill gives a Study what CDISC's schema requires of it and what was not sent: names of the study or site, OIDs where names are
// missing, the text "No" where nothing is said of repeating or of being mandatory, and the event type that an upload without one
// means (section 8.2). So what is given out is valid, as far as what was sent can be.
func fill(s *odm.Study, site *clinical.Held) {
	if s.GlobalVariables == nil {
		s.GlobalVariables = &odm.GlobalVariables{}
	}
	g := s.GlobalVariables
	orElse(&g.StudyName, cmp.Or(site.Name, s.OID))
	orElse(&g.StudyDescription, g.StudyName)
	orElse(&g.ProtocolName, cmp.Or(site.Unique, s.OID))
	for i := range s.MeasurementUnit {
		u := &s.MeasurementUnit[i]
		orElse(&u.Name, u.OID)
		title(&u.Symbol, u.Name)
	}
	for i := range s.MetaDataVersion {
		v := &s.MetaDataVersion[i]
		orElse(&v.OID, "v1.0.0")
		orElse(&v.Name, "MetaDataVersion_"+v.OID)
		fillEvents(v)
		fillForms(v)
	}
}

func orElse(text *string, other string) { *text = cmp.Or(*text, other) }

// title gives a text to what has none.
func title(texts *[]odm.TranslatedText, name string) {
	if len(*texts) == 0 {
		*texts = []odm.TranslatedText{{Text: name}}
	}
}

func fillEvents(v *odm.MetaDataVersion) {
	if v.Protocol != nil {
		for i := range v.Protocol.StudyEventRef {
			orElse(&v.Protocol.StudyEventRef[i].Mandatory, "Yes") // as OpenClinica's own
		}
	}
	for i := range v.StudyEventDef {
		e := &v.StudyEventDef[i]
		orElse(&e.Name, e.OID)
		orElse(&e.Repeating, "No")
		e.Type = eventType(cmp.Or(e.Type, e.EventType))
		for j := range e.FormRef {
			orElse(&e.FormRef[j].Mandatory, "No")
		}
	}
}

// eventType is the type of an event in the schema's words. What is none of them is a visit that is scheduled, as it is taken
// (clinical.Compile).
func eventType(sent string) string {
	for _, t := range []string{"Common", "Unscheduled"} {
		if strings.EqualFold(strings.TrimSpace(sent), t) {
			return t
		}
	}
	return "Scheduled"
}

func fillForms(v *odm.MetaDataVersion) {
	for i := range v.FormDef {
		d := &v.FormDef[i]
		orElse(&d.Name, d.OID)
		orElse(&d.Repeating, "No")
		for j := range d.ItemGroupRef {
			orElse(&d.ItemGroupRef[j].Mandatory, "No")
		}
	}
	for i := range v.ItemGroupDef {
		d := &v.ItemGroupDef[i]
		orElse(&d.Name, d.OID)
		orElse(&d.Repeating, "No")
		for j := range d.ItemRef {
			orElse(&d.ItemRef[j].Mandatory, "No")
		}
	}
	for i := range v.ItemDef {
		d := &v.ItemDef[i]
		orElse(&d.Name, d.OID)
		for j := range d.RangeCheck {
			orElse(&d.RangeCheck[j].SoftHard, "Soft")
		}
	}
	for i := range v.CodeList {
		l := &v.CodeList[i]
		orElse(&l.Name, l.OID)
		orElse(&l.DataType, "text")
		for j := range l.CodeListItem {
			title(&l.CodeListItem[j].Decode, l.CodeListItem[j].CodedValue)
		}
	}
}
