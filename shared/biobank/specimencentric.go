package biobank

import (
	"context"
	"fmt"

	"aliquot/shared/fault"
)

// Specimen-centric protocols (reference openspecimen-rest.md sections 9 and 15.2) have no participants: their specimens name
// the protocol and no visit. So that a specimen lies in a tree here, too, such a protocol is made with an event, a
// registration and a visit of its own, under the names that the reference gives them. Specimens show their ids and names, and
// whoever sends these back means them; every call about one of them is CP_OP_NOT_ALLOWED_SC, and no list or count has them.
// Requirements are those of the hidden event, and need not name it.
//
// All specimens of the protocol lie below one visit, in one partition. So nothing may read them all in passing: labels are
// not counted by visit or participant, and a pending specimen is collected by its id, not by its requirement.

// Hidden are the event, the registration and the visit that a specimen-centric protocol has.
type Hidden struct {
	EventID        int64 `json:"eventId"`
	RegistrationID int64 `json:"registrationId"`
	VisitID        int64 `json:"visitId"`
}

// hiddenName is what the hidden object of a protocol is called: $$cp_event_7$$.
func hiddenName(noun string, cp int64) string { return fmt.Sprintf("$$cp_%s_%d$$", noun, cp) }

// hides tells whether a record of the protocol is one that nobody is to see.
func (d *ProtocolDoc) hides(rec *Record) bool {
	return d.SpecimenCentric && (rec.Type == Event || rec.Type == Registration || rec.Type == Visit)
}

// notAllowed answers what asks for the participants, visits or events of a specimen-centric protocol, told by its name.
func notAllowed(told string) *fault.Fault {
	return fault.New("CP_OP_NOT_ALLOWED_SC", "Collection protocol %s is specimen-centric; it has no participants, visits and events.", told)
}

// peopled is nil where a protocol has participants.
func (b *Batch) peopled(cp *protocolInfo) error {
	if cp.doc.SpecimenCentric {
		return notAllowed(b.actor.calls(cp))
	}
	return nil
}

// hide plans the hidden objects of a new protocol, where it is specimen-centric.
func (b *Batch) hide(ctx context.Context, c *Change, cp int64, is *ProtocolDoc) error {
	if !is.SpecimenCentric {
		return nil
	}
	is.Hidden = &Hidden{}
	for _, one := range []struct {
		typ Type
		id  *int64
	}{{Event, &is.Hidden.EventID}, {Registration, &is.Hidden.RegistrationID}, {Visit, &is.Hidden.VisitID}} {
		ids, err := b.ownNumbers(ctx, c, one.typ, 1)
		if err != nil {
			return err
		}
		*one.id = ids[0]
	}
	round := b.recordRound
	b.recordRound = roundBelow // the protocol comes last, as it tells that the row is done
	defer func() { b.recordRound = round }()
	event := EventDoc{Label: hiddenName("event", cp), ActivityStatus: StatusActive}
	if err := b.insert(c, Event, EventKey(cp, is.Hidden.EventID), is.Hidden.EventID, &event, &Outcome{}); err != nil {
		return err
	}
	key := RegistrationKey(cp, is.Hidden.RegistrationID)
	reg := RegistrationDoc{PPID: hiddenName("reg", cp), ActivityStatus: StatusActive}
	if err := b.insert(c, Registration, key, is.Hidden.RegistrationID, &reg, &Outcome{}); err != nil {
		return err
	}
	visit := VisitDoc{EventID: is.Hidden.EventID, Name: hiddenName("visit", cp), Status: VisitComplete, ActivityStatus: StatusActive}
	key = key.Child(is.Hidden.VisitID)
	b.claim(c, uniqueVisitName, visit.Name, visitMark(visit.Name), key, is.Hidden.VisitID, visit.info())
	return b.insert(c, Visit, key, is.Hidden.VisitID, &visit, &Outcome{})
}

// hiddenPlace is where the specimens of a specimen-centric protocol belong, nil for another protocol.
func (p *protocolInfo) hiddenPlace() *below {
	h := p.doc.Hidden
	if h == nil {
		return nil
	}
	return &below{
		key: RegistrationKey(p.id, h.RegistrationID).Child(h.VisitID), visitStatus: VisitComplete,
		visitName: hiddenName("visit", p.id), ppid: hiddenName("reg", p.id), eventID: h.EventID, eventKnown: true,
	}
}

// hiddenEvent is the event of a specimen-centric protocol, nil for another one.
func (p *protocolInfo) hiddenEvent() *eventInfo {
	if p.doc.Hidden == nil {
		return nil
	}
	return p.event(p.doc.Hidden.EventID)
}
