package biobank

import (
	"context"
	"fmt"
	"strings"
)

// info is what a visit's mark tells its specimens: the status, where it is not the usual one.
func (v *VisitDoc) info() string {
	if v.Status == VisitComplete {
		return ""
	}
	return v.Status
}

// seeRecord in a visit's mark says that the record alone tells its status: a job is changing it.
const seeRecord = "?"

// doubt plans that the visit's mark sends readers to the record, before the record changes.
func (b *Batch) doubt(ctx context.Context, rec *Record, was *VisitDoc) error {
	m, err := b.mark(ctx, visitMark(was.Name))
	if err != nil || m.To != rec.Key || m.Info == seeRecord {
		return err
	}
	b.inform(roundNames, m, seeRecord)
	return nil
}

// tell plans that the visit's mark tells its status again, once the record has it.
func (b *Batch) tell(ctx context.Context, rec *Record, is *VisitDoc) error {
	m, err := b.mark(ctx, visitMark(is.Name))
	if err != nil || m.To != rec.Key {
		return err
	}
	b.inform(roundRelease, m, is.info())
	return nil
}

// tellAgain does what tell does for a row that an earlier try has done, where that did not come so far.
func (b *Batch) tellAgain(ctx context.Context, rec *Record, is *VisitDoc) error {
	m, err := b.mark(ctx, visitMark(is.Name))
	if err != nil || m.Info == is.info() {
		return err
	}
	return b.tell(ctx, rec, is)
}

// inform plans what a visit's mark tells. Where the mark has changed meanwhile, so has the record, and that is what
// counts.
func (b *Batch) inform(round int, m Mark, info string) {
	w := Write{Kind: TakeMark, Mark: m, WasSource: m.Source, WasTo: m.To}
	w.Mark.Info = info
	b.writes[round] = append(b.writes[round], rowWrite{row: b.row, Write: w, lax: true, value: m.Info})
}

// sure tells whether a visit's mark can be trusted without a look at the record: nobody is changing the visit, and what
// made the mark surely made the record, too.
func (b *Batch) sure(ctx context.Context, m Mark) (bool, error) {
	if m.Info == seeRecord || m.Source == "" {
		return m.Info != seeRecord, nil
	}
	job, _, _ := strings.Cut(m.Source, "#")
	whole, known := b.whole[job]
	if !known {
		var err error
		if whole, err = b.store.Whole(ctx, m.Source); err != nil {
			return false, fmt.Errorf("look after the job of a visit: %w", err)
		}
		b.whole[job] = whole
	}
	return whole, nil
}

// visit finds a visit by name, for a specimen: its key, and its status; no key where there is none. The record is read
// only where the mark alone will not do.
func (b *Batch) visit(ctx context.Context, name string) (Key, string, error) {
	m, err := b.mark(ctx, visitMark(name))
	if err != nil || m.IsZero() {
		return Key{}, "", err
	}
	if ok, err := b.sure(ctx, m); err != nil {
		return Key{}, "", err
	} else if ok {
		if m.Info == "" {
			return m.To, VisitComplete, nil
		}
		return m.To, m.Info, nil
	}
	rec, err := b.led(ctx, m.Name)
	if err != nil || rec == nil {
		return Key{}, "", err
	}
	doc, err := Decode[VisitDoc](rec)
	if err != nil || doc.Name != name || doc.ActivityStatus == StatusDisabled {
		return Key{}, "", err
	}
	return rec.Key, doc.Status, nil
}
