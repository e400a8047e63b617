package clinical

import (
	"context"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
)

// FileNotFound means that an item has no file. The reference has no call that gives one back; the code is ours, as the call is.
const FileNotFound Code = "fileNotFound"

// ItemPath names an item of a participant: repeat keys are 1 unless given. Label is the Participant ID.
type ItemPath struct {
	Label                                        string
	Event, EventKey, Form, Group, GroupKey, Item string
}

// File is a file that the value of an item names: its key among the results, and the name.
type File struct{ Key, Name string }

// File finds the file of an item for whoever may read it, also where it was removed or archived, as with the retrieval: of
// forms that a site hides nobody of that site sees any (section 6.2). It costs the reads of Participant, and two at most.
func (r *Registry) File(ctx context.Context, a *Actor, p *Place, meta *Compiled, at ItemPath) (*File, error) {
	if err := a.MayRead(p); err != nil {
		return nil, err
	}
	subject, err := r.Participant(ctx, a, p, at.Label)
	if err != nil {
		return nil, err
	}
	defined := meta.Study
	if all, _ := a.Sees(p.Study); !all {
		site, err := r.held(ctx, []biobank.Key{biobank.SetKey(StudyType, subject.Site)})
		if err != nil {
			return nil, err
		}
		defined = meta.For(site[0].OID)
	}
	path, oid, err := at.find(defined)
	if err != nil {
		return nil, err
	}
	key := GroupKey(subject.ID, path)
	recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
	if err != nil {
		return nil, fmt.Errorf("read an item group of participant %d: %w", subject.ID, err)
	}
	group, err := biobank.Decode[Group](recs[key])
	if err != nil {
		return nil, err
	}
	if group.Files[oid] == "" {
		return nil, FileNotFound
	}
	return &File{group.Files[oid], group.Values[oid]}, nil
}

// find finds where the item lies, and its OID as defined.
func (at *ItemPath) find(meta *Metadata) (Path, string, error) {
	none := func(code Code) (Path, string, error) { return Path{}, "", code }
	event, form := meta.Event(at.Event), meta.Form(at.Form)
	if event == nil {
		return none(EventOIDNotAvailableInThisStudy)
	}
	if form == nil {
		return none(FormOIDNotFound)
	}
	if ref := event.Ref(form); ref == nil || ref.Hidden {
		return none(FormOIDNotFound)
	}
	group, item := meta.Groups[Fold(at.Group)], meta.Items[Fold(at.Item)]
	switch {
	case group == nil || !slices.Contains(form.Groups, Fold(group.OID)):
		return none(ItemGroupOIDNotFound)
	case item == nil || !slices.Contains(group.Items, Fold(item.OID)):
		return none(ItemNotFound)
	}
	eventKey, ok := repeatKey(at.EventKey)
	if !ok {
		return none(InvalidStudyEventRepeatKey)
	}
	groupKey, ok := repeatKey(at.GroupKey)
	if !ok {
		return none(InvalidItemGroupRepeatKey)
	}
	return Path{
		Event: Fold(event.OID), EventKey: max(eventKey, 1), Form: Fold(form.OID), Group: Fold(group.OID), GroupKey: max(groupKey, 1),
	}, item.OID, nil
}
