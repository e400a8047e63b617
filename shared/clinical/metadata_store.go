package clinical

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
	"aliquot/shared/odm"
)

// A version of a study's metadata is two objects: the ODM as it was sent, at Study.Object, and beside it what it compiles
// to. The study's record names the newest version, so a version counts once the record does.
const compiledSuffix = ".json"

// maxNewSites is how many sites one document may make: they are made with the version, in one transaction.
const maxNewSites = 40

// Metadata reads the newest metadata of a study, compiled. A study without any is a fault.
func (r *Registry) Metadata(ctx context.Context, study *Held) (*Compiled, error) {
	if study.Version == 0 {
		return nil, fault.New("STUDY_METADATA_MISSING", "The study %s has no metadata yet.", study.OID)
	}
	body, err := r.Objects.Get(ctx, study.Object+compiledSuffix)
	if err != nil {
		return nil, fmt.Errorf("read the metadata of study %d: %w", study.ID, err)
	}
	var c Compiled
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("decode the metadata of study %d: %w", study.ID, err)
	}
	c.Study.index()
	return &c, nil
}

// PutMetadata makes a document the next version of a study's metadata (section 8.2). What earlier versions defined and this
// one does not is archived, never deleted; in a study that is in production a change that stored data would not fit is
// refused. Sites that the document brings along and that do not exist are made.
//
// The refusals are those of Place and MayManage, STUDY_METADATA_INVALID for what the document says, and InvalidXMLFile,
// with an *odm.Fault in its chain, for one that cannot be read.
func (r *Registry) PutMetadata(ctx context.Context, by By, oid string, document []byte) (*Place, *Compiled, error) {
	p, err := r.PlaceOf(ctx, oid, "")
	if err != nil {
		return nil, nil, err
	}
	if err := by.MayManage(p); err != nil {
		return nil, nil, err
	}
	studies, err := readStudies(document)
	if err != nil {
		return nil, nil, err
	}
	var done *Place
	var compiled *Compiled
	err = again(func() error {
		if p, err = r.PlaceOf(ctx, oid, ""); err != nil {
			return err
		}
		if compiled, err = Compile(p.Study.OID, studies); err != nil {
			return err
		}
		if p.Study.Version > 0 {
			before, err := r.Metadata(ctx, p.Study)
			if err != nil {
				return err
			}
			if p.Study.Production {
				if err := compatible(before.Study, compiled.Study); err != nil {
					return err
				}
			}
			carry(before.Study, compiled.Study, p.Study.Object)
		}
		compiled.Version = p.Study.Version + 1
		sites, err := r.newSites(ctx, by, p, studies)
		if err != nil {
			return err
		}
		s := p.Study.Study
		s.Version = compiled.Version
		// The request's id keeps two senders of one version apart.
		s.Object = fmt.Sprintf("studies/%d/%06d-%s.xml", p.Study.ID, s.Version, by.ID)
		if err := r.keep(ctx, s.Object, document, compiled); err != nil {
			return err
		}
		done, err = r.reviseStudy(ctx, by, p, s, sites...)
		return err
	})
	return done, compiled, err
}

// Definitions are metadata of a study as they were sent in the document with a key, which is the study's Object or the Last of
// an item: its Study, then those of its sites that have one.
func (r *Registry) Definitions(ctx context.Context, study *Held, key string) ([]*odm.Study, error) {
	body, err := r.Objects.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read the metadata of study %d: %w", study.ID, err)
	}
	return readStudies(body)
}

// keep stores a version's objects.
func (r *Registry) keep(ctx context.Context, key string, document []byte, c *Compiled) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	if err := r.Objects.Put(ctx, key, document); err != nil {
		return fmt.Errorf("store metadata: %w", err)
	}
	if err := r.Objects.Put(ctx, key+compiledSuffix, body); err != nil {
		return fmt.Errorf("store metadata: %w", err)
	}
	return nil
}

// readStudies reads the studies of a document, which must be whole; its data, if it has any, are passed over.
func readStudies(document []byte) ([]*odm.Study, error) {
	in := odm.NewReader(bytes.NewReader(document))
	var all []*odm.Study
	for {
		part, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, NotReadable(err)
		}
		if s, is := part.(*odm.Study); is {
			all = append(all, s)
		}
	}
}

// unreadable is InvalidXMLFile with its reason.
type unreadable struct{ fault *odm.Fault }

// Error is the code and what the reader says, which never repeats the document.
func (u unreadable) Error() string { return InvalidXMLFile.Wire() + "\n" + u.fault.Error() }

// Unwrap gives the code and the reason.
func (u unreadable) Unwrap() []error { return []error{InvalidXMLFile, u.fault} }

// NotReadable makes of what is wrong with a document InvalidXMLFile, whose text goes on with the reason (section 2.3). Other
// errors stay as they are.
func NotReadable(err error) error {
	var f *odm.Fault
	if errors.As(err, &f) {
		return unreadable{f}
	}
	return err
}

// newSites is what makes the sites of a document that do not exist.
func (r *Registry) newSites(ctx context.Context, by By, p *Place, studies []*odm.Study) ([]biobank.Write, error) {
	var names []string
	var missing []*odm.Study
	for _, s := range studies {
		names = append(names, StudyMark(s.OID))
	}
	marks, err := r.Store.Marks(ctx, slices.Compact(slices.Sorted(slices.Values(names))), true)
	if err != nil {
		return nil, fmt.Errorf("look up sites: %w", err)
	}
	for i, s := range studies {
		m, known := marks[names[i]]
		switch {
		case !known:
			missing = append(missing, s)
		case m.ID != p.Study.ID && m.Info != fmt.Sprint(p.Study.ID):
			return nil, fault.New("STUDY_METADATA_INVALID", "The document brings the site %s: that OID cannot be used for a site of %s. Take another one.", s.OID, p.Study.OID)
		}
	}
	if len(missing) > maxNewSites {
		return nil, fault.New("STUDY_METADATA_INVALID", "The document brings %d new sites; at most %d are made at once. Make the others before.", len(missing), maxNewSites)
	}
	var writes []biobank.Write
	for _, s := range missing {
		site := Study{OID: s.OID, Parent: p.Study.ID, Status: Available}
		if g := s.GlobalVariables; g != nil {
			site.Name, site.Unique = clip(g.StudyName, maxStudyName), g.ProtocolName
		}
		if site.check() != nil {
			site.Unique = "" // what cannot be a part of a file name
		}
		_, some, err := r.newStudy(ctx, by, site)
		if err != nil {
			return nil, err
		}
		writes = append(writes, some...)
	}
	return writes, nil
}

// carry adds what was defined before, last by the document with that key, and is no longer, archived. Data that are stored keep
// their names so.
func carry(was, is *Metadata, last string) {
	gone := func(group string) bool { return is.Groups[group] == nil }
	lost := map[string][]string{} // item groups that are nowhere any more, by form
	for oid, f := range was.Forms {
		lost[oid] = slices.DeleteFunc(slices.Clone(f.Groups), func(g string) bool { return !gone(g) })
	}
	for oid, f := range was.Forms {
		now := is.Forms[oid]
		if now == nil {
			gone := *f
			gone.Archived = true
			is.Forms[oid] = &gone
			continue
		}
		for _, l := range f.Layouts {
			if _, known := now.Layout(l.Name); !known {
				l.Archived = true
				now.Layouts = append(now.Layouts, l)
			}
		}
		now.Groups = append(now.Groups, lost[oid]...)
	}
	for oid, item := range was.Items {
		if is.Items[oid] == nil {
			gone := *item
			if !gone.Archived {
				gone.Archived, gone.Last = true, last
			}
			is.Items[oid] = &gone
		}
	}
	for oid, g := range was.Groups {
		now := is.Groups[oid]
		if now == nil {
			gone := *g
			gone.Items = slices.Clone(g.Items)
			is.Groups[oid] = &gone
			continue
		}
		for _, item := range g.Items {
			if is.Items[item].Archived && !slices.Contains(now.Items, item) {
				now.Items = append(now.Items, item)
			}
		}
	}
	for _, e := range was.Events {
		now := is.event(e.OID)
		if now == nil {
			gone := *e
			gone.Archived = true
			is.Events = append(is.Events, &gone)
			continue
		}
		for _, ref := range e.Forms {
			if now.Ref(is.Forms[ref.Form]) == nil {
				ref.Archived = true
				now.Forms = append(now.Forms, ref)
			}
		}
	}
	is.index()
}

// event finds a definition while the index is not made.
func (m *Metadata) event(oid string) *EventDef {
	for _, e := range m.Events {
		if Fold(e.OID) == Fold(oid) {
			return e
		}
	}
	return nil
}

// compatible refuses, for a study in production, what stored data would not fit: a repeating event or item group that is
// so no longer, an event that becomes common or a visit, an item that takes less than before, and a file that becomes
// something else or the other way round (section 8.1 and 8.2).
func compatible(was, is *Metadata) error {
	var l fault.List
	refuse := func(format string, args ...any) {
		if len(l) < maxFaults {
			l.Add("STUDY_METADATA_INCOMPATIBLE", "The study is in production: "+format, args...)
		}
	}
	for _, e := range was.Events {
		now := is.event(e.OID)
		switch {
		case now == nil:
			continue // archived
		case e.Common != now.Common:
			refuse("event %s cannot change between common and visit.", e.OID)
		case e.Repeating && !now.Repeating:
			refuse("event %s repeats and cannot stop to.", e.OID)
		}
	}
	for _, oid := range slices.Sorted(maps.Keys(was.Groups)) {
		if now := is.Groups[oid]; now != nil && was.Groups[oid].Repeating && !now.Repeating {
			refuse("item group %s repeats and cannot stop to.", now.OID)
		}
	}
	for _, oid := range slices.Sorted(maps.Keys(was.Items)) {
		before, now := was.Items[oid], is.Items[oid]
		switch {
		case now == nil:
			continue
		case !before.Type.fits(now.Type) && !now.Multiple:
			refuse("item %s has a data type that stored values may not fit.", now.OID)
		case before.Multiple && !now.Multiple && now.Codes != nil:
			refuse("item %s takes several values and cannot be limited to one.", now.OID)
		case before.File != now.File:
			refuse("item %s cannot change between a file and a value.", now.OID)
		}
	}
	return l.Err()
}

// fits tells whether every value of the type is one of another.
func (k Kind) fits(other Kind) bool {
	switch {
	case k == other, other == Text:
		return true
	case k == Integer:
		// Not every integer is a real as section 4 has it: a plus sign is not taken. It is a number all the same.
		return other == Real
	case k == Date:
		return other == PartialDate
	}
	return false
}
