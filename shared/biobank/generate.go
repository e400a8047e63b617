package biobank

import (
	"context"
	"slices"
	"strconv"
	"time"

	"aliquot/shared/fault"
)

// counterName is the store's counter behind a format's: numbers are counted by what they name.
func counterName(what string, scope Counter, cp int64) string {
	if scope == PerProtocol {
		return what + "#" + strconv.FormatInt(cp, 10)
	}
	return what
}

// What formats name, as the prefix of their counters.
const (
	namesPPID  = "ppid"
	namesVisit = "visit.name"
	namesLabel = "specimen.label"
	namesTag   = "specimen.additionalLabel"
	namesCode  = "specimen.barcode"
)

// Counters lists the counters that a job of n rows of this type reserves numbers from, so that row n of it always gets
// the same ones: ids, and what the formats of the protocol named (nil: of none) count globally or per protocol. It reads
// the protocol; an unknown one has no counters, its rows fail by themselves.
func (b *Batch) Counters(ctx context.Context, t Type, master bool, ref ProtocolRef) ([]string, error) {
	var out []string
	add := func(f *Format, what string, cp int64) {
		if f == nil {
			return
		}
		for _, scope := range f.Counters() {
			if scope == Global || scope == PerProtocol {
				if name := counterName(what, scope, cp); !slices.Contains(out, name) {
					out = append(out, name)
				}
			}
		}
	}
	out = append(out, string(t))
	if master {
		out = append(out, string(Registration), string(Participant), string(Visit))
	}
	if t == Registration {
		out = append(out, string(Participant))
	}
	if !ref.Sent() {
		return out, nil
	}
	cp, err := b.protocol(ctx, ref)
	if err != nil {
		if fault.All(err) != nil {
			err = nil
		}
		return out, err
	}
	if t == Registration || master {
		add(cp.ppid, namesPPID, cp.id)
	}
	if t == Visit || master {
		add(cp.visit, namesVisit, cp.id)
	}
	if t == Specimen {
		for _, lineage := range []string{LineageNew, LineageDerived, LineageAliquot} {
			add(cp.labels[lineage], namesLabel, cp.id)
		}
		add(cp.additional, namesTag, cp.id)
		add(cp.barcode, namesCode, cp.id)
		for _, e := range cp.events {
			for _, q := range e.reqs {
				if f, err := ParseFormat(labelKind(q.doc.Lineage), q.doc.LabelFmt); err == nil {
					add(f, namesLabel, cp.id)
				}
			}
		}
	}
	return out, nil
}

// numbers draws what a format counts. parent is the key below which its narrowest counter counts.
func (b *Batch) numbers(ctx context.Context, c *Change, f *Format, what string, cp int64, parent Key, v *FormatValues) (serial int64, err error) {
	for _, scope := range f.Counters() {
		var n int64
		if scope == Global || scope == PerProtocol {
			n, err = b.number(ctx, c, counterName(what, scope, cp))
		} else {
			n, err = b.serial(ctx, c, parent)
			serial = n
		}
		if err != nil {
			return 0, err
		}
		v.Numbers[scope] = n
	}
	return serial, nil
}

// generate makes a specimen's label, or what else the format is of, by the format.
func (b *Batch) generate(ctx context.Context, c *Change, f *Format, what string, cp *protocolInfo, at *below, doc *SpecimenDoc) (name string, serial int64, err error) {
	v := FormatValues{
		ShortTitle: cp.doc.ShortTitle, ProtocolCode: cp.doc.Code, SpecimenType: doc.Type, Label: doc.Label,
		ParentLabel: at.parentDoc.Label, VisitName: at.visitName, PPID: at.ppid,
	}
	if doc.Collection != nil && doc.Collection.Time != 0 {
		v.CollectionYear = time.UnixMilli(doc.Collection.Time).UTC().Year()
	}
	eventID := at.eventID
	if at.ppid == "" {
		visit, err := b.rec(ctx, at.key.VisitKey())
		if err != nil {
			return "", 0, err
		}
		if visit != nil {
			vd, err := Decode[VisitDoc](visit)
			if err != nil {
				return "", 0, err
			}
			v.VisitName, eventID = vd.Name, vd.EventID
			reg, err := b.rec(ctx, visit.Key.Above(1))
			if err != nil {
				return "", 0, err
			}
			rd, err := Decode[RegistrationDoc](reg)
			if err != nil {
				return "", 0, err
			}
			v.PPID = rd.PPID
		}
	}
	if e := cp.event(eventID); e != nil {
		v.EventCode, v.EventLabel = e.doc.Code, e.doc.Label
	}
	if serial, err = b.numbers(ctx, c, f, what, cp.id, at.key, &v); err != nil {
		return "", 0, err
	}
	return f.Make(&v), serial, nil
}
