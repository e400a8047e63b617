package biobank

import (
	"context"
	"fmt"
	"slices"
)

// References to sites and users (reference openspecimen-rest.md 4.2, sections 6 and 7): a site or user that something names
// cannot be deleted. Events, visits, registrations and specimens come by the million, so they are not looked through for
// each deletion: a mark in the set of a site or user tells in which protocols it was ever named, and only those are read.
//
//	site.named#<site>  <protocol>
//	user.named#<user>  <protocol>
//
// A mark is made before the first record that names it, or with it, and never goes away; it counts nothing. A protocol's
// own sites need none, since the protocol keeps them from being deleted; they get one when it gives them up.

// reference is that the objects of a protocol name a site or user.
type reference struct {
	to     Type
	id, cp int64
}

func namedSet(to Type, id int64) string { return fmt.Sprintf("%s.named#%d", to, id) }

func (r reference) mark() Mark {
	return Mark{Name: SetMark(namedSet(r.to, r.id), PadID(r.cp)), To: SetKey(Protocol, r.cp), ID: r.cp}
}

// eachName calls each with the sites and users that an object names (0 for one it does not), and as what they are counted.
func eachName(doc any, each func(to Type, id int64, as string)) {
	switch d := doc.(type) {
	case *EventDoc:
		each(Site, d.DefaultSiteID, "collection_protocol_event")
	case *RequirementDoc:
		each(User, d.CollectorID, "specimen_requirement")
		each(User, d.ReceiverID, "specimen_requirement")
	case *RegistrationDoc:
		each(Site, d.SiteID, "collection_protocol_registration")
		for _, p := range d.Participant.PMIs {
			each(Site, p.SiteID, "participant_medical_identifier")
		}
		if d.Consents != nil {
			each(User, d.Consents.Witness, "collection_protocol_registration")
		}
	case *VisitDoc:
		each(Site, d.SiteID, "visit")
		each(User, d.MissedBy, "visit")
	case *SpecimenDoc:
		if d.Collection != nil {
			each(User, d.Collection.UserID, "specimen")
		}
		if d.Received != nil {
			each(User, d.Received.UserID, "specimen")
		}
	}
}

// note remembers whom an object that is planned names, to be marked before it is written.
func (b *Batch) note(key Key, doc any) {
	cp := key.Protocol()
	if cp == 0 {
		return
	}
	eachName(doc, func(to Type, id int64, _ string) {
		if p := b.protocols[cp]; id != 0 && (to != Site || p == nil || !p.hasSite(id)) {
			b.named[reference{to, id, cp}] = true
		}
	})
}

// noteNew is note for a change: of a person, what the object named before has its marks.
func (b *Batch) noteNew(was *Record, doc any) error {
	b.note(was.Key, doc)
	if b.bulk || len(b.named) == 0 {
		return nil
	}
	cp := was.Key.Protocol()
	old, err := decoded(was)
	if err != nil {
		return err
	}
	eachName(old, func(to Type, id int64, _ string) { delete(b.named, reference{to, id, cp}) })
	return nil
}

// decoded is the object of a record that names others, nil for any other.
func decoded(rec *Record) (any, error) {
	var doc any
	var err error
	switch rec.Type {
	case Event:
		doc, err = decodedAs[EventDoc](rec)
	case Requirement:
		doc, err = decodedAs[RequirementDoc](rec)
	case Registration:
		doc, err = decodedAs[RegistrationDoc](rec)
	case Visit:
		doc, err = decodedAs[VisitDoc](rec)
	case Specimen:
		doc, err = decodedAs[SpecimenDoc](rec)
	case Site:
		doc, err = decodedAs[SiteDoc](rec)
	case User:
		doc, err = decodedAs[UserDoc](rec)
	case Protocol:
		doc, err = decodedAs[ProtocolDoc](rec)
	case DistributionProtocol:
		doc, err = decodedAs[DistributionDoc](rec)
	case Order:
		doc, err = decodedAs[OrderDoc](rec)
	case Shipment:
		doc, err = decodedAs[ShipmentDoc](rec)
	case RoleType:
		doc, err = decodedAs[RoleDoc](rec)
	case Container:
		doc, err = decodedAs[ContainerDoc](rec)
	case ContainerType:
		doc, err = decodedAs[ContainerTypeDoc](rec)
	}
	return doc, err
}

func decodedAs[T any](rec *Record) (*T, error) {
	doc, err := Decode[T](rec)
	return &doc, err
}

// markNamed plans the marks of what the planned objects name, where they are not there yet. A job writes them at once:
// another row's records may rely on them.
func (b *Batch) markNamed(ctx context.Context) error {
	if len(b.named) == 0 {
		return nil
	}
	var missing []Mark
	for ref := range b.named {
		b.wantMark(ref.mark().Name)
	}
	if err := b.readMarks(ctx); err != nil {
		return err
	}
	for ref := range b.named {
		if m := ref.mark(); b.marks[m.Name].IsZero() {
			missing = append(missing, m)
		}
	}
	clear(b.named)
	if !b.bulk {
		for _, m := range missing {
			b.writes[roundIDs] = append(b.writes[roundIDs], rowWrite{lax: true, Write: Write{Kind: InsertMark, Mark: m}})
		}
		return nil
	}
	for part := range slices.Chunk(missing, MaxBatch) {
		writes := make([]Write, len(part))
		for i, m := range part {
			writes[i] = Write{Kind: InsertMark, Mark: m}
		}
		// One that exists was made by another worker meanwhile.
		if _, err := b.store.Write(ctx, false, writes); err != nil {
			return fmt.Errorf("mark whom records name: %w", err)
		}
		for _, m := range part {
			b.marks[m.Name] = m
		}
	}
	return nil
}

// tallyNames counts the live objects that name a site or user, in the protocols that ever did, up to maxTally in each.
func (r *Registry) tallyNames(ctx context.Context, to Type, id int64, count tally) error {
	marks, err := r.Store.MarksIn(ctx, namedSet(to, id), "", "", 0)
	if err != nil {
		return fmt.Errorf("look up who names %s %d: %w", to, id, err)
	}
	level := Visits
	if to == User {
		level = Everything // specimens name users
	}
	people := map[int64]bool{}
	for _, m := range marks {
		cp, err := r.byID(ctx, Protocol, m.ID)
		if err != nil {
			return err
		}
		if cp == nil {
			continue
		}
		doc, err := Decode[ProtocolDoc](cp)
		if err != nil {
			return err
		}
		if doc.ActivityStatus == StatusDisabled {
			continue // gone with all that is in it
		}
		if to == Site && (&protocolInfo{doc: doc}).hasSite(id) {
			continue // the protocol itself keeps its sites, and is counted
		}
		found := 0
		err = r.Each(ctx, m.ID, level, func(rec *Record) (bool, error) {
			named, err := countNames(rec, to, id, count, people)
			if named {
				found++
			}
			return found < maxTally, err
		})
		if err != nil {
			return err
		}
		defined, err := r.Store.List(ctx, ProtocolPart(m.ID), "event/", "", 0)
		if err != nil {
			return fmt.Errorf("list the events of protocol %d: %w", m.ID, err)
		}
		for _, rec := range defined {
			if _, err := countNames(rec, to, id, count, people); err != nil {
				return err
			}
		}
	}
	return nil
}

// countNames counts a record once for each way in which it names a site or user, and tells whether it does; the medical
// record numbers of a person, which all of its registrations hold, once.
func countNames(rec *Record, to Type, id int64, count tally, people map[int64]bool) (bool, error) {
	doc, err := decoded(rec)
	if err != nil || statusOf(rec) == StatusDisabled {
		return false, err
	}
	ways := map[string]bool{}
	eachName(doc, func(t Type, n int64, as string) {
		if t == to && n == id {
			ways[as] = true
		}
	})
	if reg, ok := doc.(*RegistrationDoc); ok && ways["participant_medical_identifier"] {
		ways["participant_medical_identifier"] = !people[reg.Participant.ID]
		people[reg.Participant.ID] = true
	}
	for as, one := range ways {
		count.add(as, one)
	}
	return len(ways) > 0, nil
}
