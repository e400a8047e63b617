package clinical

import (
	"fmt"
	"strings"

	"aliquot/shared/biobank"
)

// The kinds of records.
const (
	StudyType   biobank.Type = "study"
	SubjectType biobank.Type = "subject"
	EventType   biobank.Type = "subject.event"
	GroupType   biobank.Type = "subject.group"
	NoteType    biobank.Type = "subject.note"
	ListedType  biobank.Type = "subject.listed"
)

// Fold is the form in which OIDs are compared: imports write them in any case (section 1.2).
func Fold(oid string) string { return strings.ToUpper(strings.TrimSpace(oid)) }

// maxOID is the longest OID, in bytes, also as a part of a sort key, of which four and a note's id make the longest.
const maxOID = 128

// notInPath tells of what cannot stand between two slashes of a path, or means something else there.
func notInPath(s string) bool {
	return s == "." || s == ".." || s == "*" || strings.ContainsFunc(s, func(c rune) bool { return c == '/' || c == '\\' || c < ' ' || c == 0x7f })
}

// escape makes an OID safe as a part of a sort key: no slash, nothing above '}'.
func escape(oid string) string {
	plain := true
	for i := range len(oid) {
		if c := oid[i]; c == '/' || c == '%' || c < ' ' || c > '}' {
			plain = false
			break
		}
	}
	if plain {
		return oid
	}
	var b strings.Builder
	for i := range len(oid) {
		if c := oid[i]; c == '/' || c == '%' || c < ' ' || c > '}' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Path names a place in a participant's data: an event's occurrence, a form in it, an item group's repeat, an item. What
// is empty, and what comes after it, is not named. OIDs are folded.
type Path struct {
	Event     string
	EventKey  int
	Form      string
	Group     string
	GroupKey  int
	Item      string
	Discussed string // a note thread's id
}

// repeat has room for 999,999 repeats.
const repeat = "%06d"

// MaxRepeat is the highest repeat key of an event or an item group.
const MaxRepeat = 999_999

func subjectPart(subject int64) string { return fmt.Sprintf("subject#%d", subject) }

// SubjectKey is where a participant lies.
func SubjectKey(subject int64) biobank.Key { return biobank.Key{Part: subjectPart(subject), Sort: "a"} }

// EventKey is where an occurrence of an event lies, with its forms' states.
func EventKey(subject int64, event string, key int) biobank.Key {
	return biobank.Key{Part: subjectPart(subject), Sort: eventPrefix(event) + fmt.Sprintf(repeat, key)}
}

// eventPrefix is what the sort keys of an event's occurrences begin with.
func eventPrefix(event string) string { return "a/" + escape(event) + "/" }

// FormPrefix is what the sort keys of a form's item groups begin with.
func FormPrefix(event string, key int, form string) string {
	return fmt.Sprintf("g/%s/"+repeat+"/%s/", escape(event), key, escape(form))
}

// GroupKey is where a repeat of an item group lies.
func GroupKey(subject int64, p Path) biobank.Key {
	return biobank.Key{
		Part: subjectPart(subject),
		Sort: FormPrefix(p.Event, p.EventKey, p.Form) + fmt.Sprintf("%s/"+repeat, escape(p.Group), p.GroupKey),
	}
}

// NotePrefix is what the sort keys of a form's notes begin with.
func NotePrefix(event string, key int, form string) string {
	return "n" + FormPrefix(event, key, form)[1:]
}

// NoteKey is where a note thread lies.
func NoteKey(subject int64, p Path) biobank.Key {
	return biobank.Key{
		Part: subjectPart(subject),
		Sort: NotePrefix(p.Event, p.EventKey, p.Form) +
			fmt.Sprintf("%s/"+repeat+"/%s/%s", escape(p.Group), p.GroupKey, escape(p.Item), escape(p.Discussed)),
	}
}

// StudyMark finds a study or a site by its OID.
func StudyMark(oid string) string { return "study.oid#" + Fold(oid) }

// SubjectMark finds a participant of a study by OID.
func SubjectMark(study int64, oid string) string {
	return fmt.Sprintf("subject.oid#%d#%s", study, Fold(oid))
}

// LabelKey is the entry by which a participant is found by ID: a study's sites may use one ID each for another person, so
// all that share it stand together.
func LabelKey(study int64, label string, site int64) biobank.Key {
	return biobank.Key{Part: fmt.Sprintf("subject.id#%d#%s", study, label), Sort: biobank.PadID(site)}
}

// ListKey is the entry of a participant in the list of the study, in the order in which they came.
func ListKey(study, subject int64) biobank.Key {
	return biobank.Key{Part: fmt.Sprintf("subjects#%d", study), Sort: biobank.PadID(subject)}
}
