package clinical

import (
	"context"
	"errors"
	"fmt"

	"aliquot/shared/biobank"
)

// A client that lost an answer cannot know whether its request was done. Where it gave the request a name, what the request
// came to is kept under it, in the transaction that does it: sent again, the request is not done again, and is answered as
// the first time, whatever has become of the participant since.

// RequestType is the kind of records that keep what requests came to.
const RequestType biobank.Type = "clinical.request"

// KeyUsed refuses a request that has the name of another one. The code is ours.
const KeyUsed Code = "idempotencyKeyAlreadyUsed"

// Request is the name that a client gave a request.
type Request struct {
	// Name is the user's own, and of one kind of request; Sum tells what is asked for from anything else.
	Name, Sum string
}

// outcome is what a request came to: an occurrence of an event, or a note without what was said in it. What was said is
// never changed, so how much there was of it will do.
type outcome struct {
	Sum   string
	Event *Event `json:",omitempty"`
	Note  *Note  `json:",omitempty"`
	Said  int    `json:",omitempty"`

	subject int64
}

// Error makes an outcome what ends a request that was done before.
func (o *outcome) Error() string { return "the request was done before" }

func requestKey(name string) biobank.Key { return biobank.Key{Part: "request#" + name, Sort: "a"} }

// doneBefore ends a request that was done before with its outcome, and refuses one whose name is another's. It costs a read
// where the request has a name.
func (r *Registry) doneBefore(ctx context.Context, by By) error {
	if by.Request == nil {
		return nil
	}
	key := requestKey(by.Request.Name)
	recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
	if err != nil {
		return fmt.Errorf("look up a request: %w", err)
	}
	if recs[key] == nil {
		return nil
	}
	o, err := biobank.Decode[outcome](recs[key])
	switch {
	case err != nil:
		return err
	case o.Sum != by.Request.Sum:
		return KeyUsed
	}
	o.subject = recs[key].ID
	return &o
}

// keep is what keeps the outcome of a request about a participant, if the request has a name.
func (b By) keep(subject int64, o outcome) ([]biobank.Write, error) {
	if b.Request == nil {
		return nil, nil
	}
	o.Sum = b.Request.Sum
	rec, err := b.begin(requestKey(b.Request.Name), RequestType, subject, o)
	return []biobank.Write{{Kind: biobank.InsertRecord, Record: rec}}, err
}

// keepEvent keeps an occurrence as a request leaves it, without its forms and signatures.
func (b By) keepEvent(subject int64, e *Event) ([]biobank.Write, error) {
	left := *e
	left.Forms, left.Attestations = nil, nil
	return b.keep(subject, outcome{Event: &left})
}

// keepNote keeps which note a request was about, and how much is said in it now.
func (b By) keepNote(subject int64, n *Note) ([]biobank.Write, error) {
	silent := *n
	silent.Children = nil
	return b.keep(subject, outcome{Note: &silent, Said: len(n.Children)})
}

// eventBefore is the occurrence as a request left it that was done before, nil where err does not tell of one.
func eventBefore(err error) *Event {
	var before *outcome
	if !errors.As(err, &before) {
		return nil
	}
	return before.Event
}

// noteBefore is the note as a request left it that was done before. Any other err is returned.
func (r *Registry) noteBefore(ctx context.Context, err error) (*Note, error) {
	var before *outcome
	if !errors.As(err, &before) {
		return nil, err
	}
	key := NoteKey(before.subject, before.Note.path())
	recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
	if err != nil {
		return nil, fmt.Errorf("read a note: %w", err)
	}
	thread, err := biobank.Decode[Thread](recs[key])
	if err != nil {
		return nil, err
	}
	if len(thread.Children) < before.Said {
		return nil, fmt.Errorf("a note of participant %d has lost what was said in it", before.subject)
	}
	before.Note.Children = thread.Children[:before.Said]
	return before.Note, nil
}
