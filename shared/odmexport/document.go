// Package odmexport collects the data of a study as an ODM document, in XML or JSON (reference openclinica-clinicaldata.md,
// 6 and 7).
//
// A document is opened for a user: what the user may not see is not in it. It is then written part by part, of no more than
// a page of a participant's item groups in memory. Writing can pause between two participants and be gone on with later, by another process, with a
// document that was opened anew, under the rights that its user has then: the outputs one after the other are the document.
package odmexport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// Request is what is asked for (section 6.1).
type Request struct {
	// Study is the OID of a study or a site.
	Study string `json:"study"`
	// Participant is an OID or an ID, Form the OID of a form or of a version. Events are OIDs with commas between, each
	// perhaps with a repeat key in brackets. They are empty for all.
	Participant string `json:"participant,omitempty"`
	Events      string `json:"events,omitempty"`
	Form        string `json:"form,omitempty"`

	Metadata bool `json:"metadata,omitempty"`
	Data     bool `json:"data,omitempty"`
	Audits   bool `json:"audits,omitempty"`
	Notes    bool `json:"notes,omitempty"`
	Archived bool `json:"archived,omitempty"`
	JSON     bool `json:"json,omitempty"`
	// Namespaces asks for the keys of namespaces in JSON that OpenClinica's has (section 7.1, rule 15).
	Namespaces bool `json:"namespaces,omitempty"`
}

// ContentType is the media type of the document.
func (r *Request) ContentType() string {
	if r.JSON {
		return "application/json"
	}
	return "application/xml"
}

// FileName is a name for the document.
func (r *Request) FileName() string {
	if r.JSON {
		return "clinicaldata.json"
	}
	return "clinicaldata.xml"
}

// Collector opens documents. It may be used by several goroutines.
type Collector struct {
	Studies *clinical.Registry
	Users   *biobank.Registry
}

// Document is one that is to be written once.
type Document struct {
	*Collector
	request Request
	at      time.Time
	place   *clinical.Place
	// sites are the study and the sites of the retrieval's scopes.
	sites     []*clinical.Held
	retrieval *clinical.Retrieval
}

// Open opens what a user asked for at a time, as far as the user may see it. Who has no role gets a document without data.
// The refusal is clinical.StudyOIDNotFound.
func (c *Collector) Open(ctx context.Context, by *clinical.Actor, r Request, at time.Time) (*Document, error) {
	place, err := c.Studies.Place(ctx, r.Study)
	if err != nil {
		return nil, err
	}
	d := &Document{Collector: c, request: r, at: at.UTC(), place: place, retrieval: &clinical.Retrieval{
		Store: c.Studies.Store, Study: place.Study.ID, Participant: r.Participant, Events: occurrences(r.Events), Form: r.Form,
		Audits: r.Audits, Notes: r.Notes, Archived: r.Archived, User: c.people(),
	}}
	if by.MayRead(place) == nil && place.Study.Version > 0 {
		err = d.see(ctx, by)
	}
	return d, err
}

// occurrences reads a list of events. What is empty between commas names none; only the empty list stands for all.
func occurrences(list string) (all []clinical.Occurrence) {
	if list == "" {
		return nil
	}
	for one := range strings.SplitSeq(list, ",") {
		o := clinical.Occurrence{Event: one}
		if event, key, ok := strings.Cut(strings.TrimSuffix(one, "]"), "["); ok {
			n, err := strconv.Atoi(key)
			if err != nil || n < 1 {
				n = -1 // no repeat has that number
			}
			o = clinical.Occurrence{Event: event, Key: n}
		}
		all = append(all, o)
	}
	return all
}

// see finds the study and the sites that were asked for and that the user sees.
func (d *Document) see(ctx context.Context, by *clinical.Actor) error {
	meta, err := d.Studies.Metadata(ctx, d.place.Study)
	if err != nil {
		return err
	}
	all, only := by.Sees(d.place.Study)
	add := func(s *clinical.Held) {
		scope := clinical.Scope{ID: s.ID, OID: s.OID, Meta: meta.Study}
		if !all { // who sees the whole study sees forms that a site hides
			scope.Meta = meta.For(s.OID)
		}
		d.sites, d.retrieval.Scopes = append(d.sites, s), append(d.retrieval.Scopes, scope)
	}
	if d.place.IsSite() {
		add(d.place.Site)
		return nil
	}
	sites, err := d.Studies.Sites(ctx, d.place.Study.ID)
	if err != nil {
		return err
	}
	if all {
		add(d.place.Study)
	}
	for _, s := range sites {
		if all || only[s.ID] {
			add(s)
		}
	}
	return nil
}

// Sees are the ids of the study and the sites that the document is about.
func (d *Document) Sees() (ids []int64) {
	for _, s := range d.sites {
		ids = append(ids, s.ID)
	}
	return ids
}

// people finds users, each once for a document.
func (c *Collector) people() func(context.Context, int64) (clinical.Person, error) {
	known := map[int64]clinical.Person{}
	return func(ctx context.Context, id int64) (clinical.Person, error) {
		if p, ok := known[id]; ok {
			return p, nil
		}
		key := biobank.SetKey(biobank.User, id)
		recs, err := c.Users.Fetch(ctx, key)
		if err != nil {
			return clinical.Person{}, err
		}
		doc, err := biobank.Decode[biobank.UserDoc](recs[key])
		if err != nil {
			return clinical.Person{}, err
		}
		p := clinical.Person{ID: id, Login: doc.LoginName, Name: strings.TrimSpace(doc.FirstName + " " + doc.LastName)}
		known[id] = p
		return p, nil
	}
}

// errPaused ends the data where they are to be gone on with later.
var errPaused = errors.New("paused")

// Write writes the document to out, from the beginning (from is nil) or from where it has paused. Between two participants
// it asks pause, unless that is nil, and pauses as soon as it can: then it returns how far it has come, else nil.
func (d *Document) Write(ctx context.Context, out io.Writer, from *clinical.Reached, pause func() bool) (*clinical.Reached, error) {
	if d.request.Data {
		if err := d.retrieval.Find(ctx, from); err != nil {
			return nil, err
		}
	}
	to := &later{out: out, on: from == nil}
	w := odm.NewXMLWriter(to)
	if d.request.JSON {
		w = odm.NewJSONWriter(to, odm.JSON{NamespaceKeys: d.request.Namespaces})
	}
	if err := d.begin(ctx, w, from); err != nil {
		return nil, err
	}
	to.on = true
	if d.request.Data {
		var at clinical.Reached
		err := d.retrieval.Data(ctx, w.Write, func(reached clinical.Reached) error {
			if pause == nil || !pause() {
				return nil
			}
			all, err := w.Flush()
			if err != nil || !all {
				return err
			}
			at = reached
			return errPaused
		})
		if errors.Is(err, errPaused) {
			return &at, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, w.Close()
}

// begin writes what comes before the data or, going on, puts the writer where it was.
func (d *Document) begin(ctx context.Context, w *odm.Writer, from *clinical.Reached) error {
	err := w.Write(&odm.ODM{
		FileOID: "Study-MetaD" + d.at.Format("20060102150405-0700"), Description: "Study Metadata",
		CreationDateTime: d.at.Format("2006-01-02T15:04:05-07:00"), FileType: "Snapshot", ODMVersion: "1.3",
	})
	switch {
	case err != nil:
		return err
	case from != nil:
		if err := d.retrieval.Resume(w.Write); err != nil {
			return err
		}
		if all, err := w.Flush(); err != nil || !all {
			return errors.Join(err, fmt.Errorf("the document cannot be gone on with"))
		}
		return nil
	case d.request.Metadata && len(d.retrieval.Scopes) > 0:
		return d.definitions(ctx, w)
	}
	return nil
}

// later is a destination that what is written goes to once it is on.
type later struct {
	out io.Writer
	on  bool
}

// Write implements io.Writer.
func (l *later) Write(p []byte) (int, error) {
	if !l.on {
		return len(p), nil
	}
	return l.out.Write(p)
}
