package clinical

import (
	"cmp"
	"strconv"
)

// Row is a line of an import's log (section 2.6).
type Row struct {
	// Type is what the line is about, for the log's form that has a column for it.
	Type               string `json:"type"`
	SubjectKey         string `json:"subject,omitempty"`
	ParticipantID      string `json:"label,omitempty"`
	EventOID, EventKey string
	FormOID            string `json:"form,omitempty"`
	GroupOID, GroupKey string
	ItemOID            string `json:"item,omitempty"`
	Status             string `json:"status"`
	At                 int64  `json:"at,omitempty"` // epoch ms, 0 for what changed nothing
	Message            string `json:"message,omitempty"`
}

// The states of a row.
const (
	RowInserted     = "Inserted"
	RowUpdated      = "Updated"
	RowNoChange     = "No Change"
	RowSkipped      = "Skipped"
	RowFailed       = "Failed"
	RowGroupRemoved = "itemGroup removed"
	RowAttested     = "Attestations Imported"
	RowSigned       = "Event is Signed"
)

// The types of a row.
const (
	rowParticipant = "Participant"
	rowEvent       = "Study Event"
	rowSignature   = "Signature"
	rowForm        = "Form"
	rowSDV         = "SDV Status"
	rowGroup       = "Item Group"
	rowItem        = "Item Data"
	rowQuery       = "Query"
	rowAnnotation  = "Annotation"
)

// Detail tells of a line that only the log with types has: that a note was stored, or was the system's own. By the item's
// columns it would pass for the item's own.
func (r *Row) Detail() bool {
	return r.Status != RowFailed && (r.Type == rowQuery || r.Type == rowAnnotation)
}

// place is a row that names where the planner is: the participant, and as much below as is known.
func (p *Planner) place(kind string) Row {
	c := &p.Cursor
	r := Row{Type: kind}
	if c.Subject != nil {
		r.SubjectKey, r.ParticipantID = c.Subject.Key, c.Subject.Label
	}
	if c.Event != nil && kind != rowParticipant {
		r.EventOID = c.Event.OID
		if c.Event.Resolved && !c.Event.Failed {
			r.EventKey = strconv.Itoa(c.Event.Key)
		}
	}
	if c.Form != nil && kind != rowParticipant && kind != rowEvent && kind != rowSignature {
		r.FormOID = cmp.Or(c.Form.Named, c.Form.OID)
	}
	return r
}

// fail adds the row of an element that is not taken.
func (p *Planner) fail(kind string, code Code) {
	r := p.place(kind)
	r.Status, r.Message = RowFailed, code.Wire()
	p.rows = append(p.rows, r)
}
