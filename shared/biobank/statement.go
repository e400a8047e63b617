package biobank

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"aliquot/shared/fault"
)

// ConsentStatement is the type of what participants are asked to agree to.
const ConsentStatement Type = "consentStatement"

// StatementDoc is a consent statement. The reference names its codes (section 22, CONSENT_STATEMENT_) and that protocols
// refer to it by id, code or text (section 9); the calls are laid out like those of other small sets.
type StatementDoc struct {
	Code           string `json:"code"`
	Statement      string `json:"statement"`
	ActivityStatus string `json:"activityStatus"`
}

// StatementDraft is found by ID.
type StatementDraft struct {
	ID    int64
	Doc   StatementDoc
	Merge func(*StatementDoc)
}

func (*StatementDraft) recordType() Type { return ConsentStatement }

// StatementRef names a statement: by id, else code, else text.
type StatementRef struct {
	ID              int64
	Code, Statement string
}

// Sent tells whether the reference was sent at all.
func (s StatementRef) Sent() bool { return s != StatementRef{} }

func (s StatementRef) told() string {
	switch {
	case s.ID != 0:
		return strconv.FormatInt(s.ID, 10)
	case s.Code != "":
		return s.Code
	}
	return s.Statement
}

func statementCodeMark(s string) string { return "consent.code#" + Fold(s) }

// statementMark is that of a text, which is too long for a key.
func statementMark(s string) string {
	sum := sha256.Sum256([]byte(Fold(s)))
	return "consent.statement#" + hex.EncodeToString(sum[:])
}

var (
	uniqueStatementCode = &unique{"CONSENT_STATEMENT_DUP_CODE", "A consent statement with the same code, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[StatementDoc](r)
		return Fold(d.Code) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueStatement = &unique{"CONSENT_STATEMENT_DUP", "The same consent statement, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[StatementDoc](r)
		return Fold(d.Statement) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *StatementDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, ConsentStatement, d.ID, "", nil)
	return nil
}

func (d *StatementDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *StatementDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if !b.actor.Super() {
		return adminOnly("create or change consent statements")
	}
	rec, was, is, err := begin(ctx, b, c, o, sought{ConsentStatement, d.ID, "", nil, nil}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		if err := b.unreferenced(ctx, c, rec, "CONSENT_STATEMENT_REF_ENTITY_FOUND"); err != nil {
			return err
		}
		return b.retire(ctx, c, o, rec, &was, &was.ActivityStatus,
			freed{&was.Code, 50, statementCodeMark}, freed{&was.Statement, maxStatement, statementMark})
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	if is.Code == "" {
		l.Add("CONSENT_STATEMENT_CODE_REQUIRED", "Give the code of the consent statement.")
	}
	if is.Statement == "" {
		l.Add("CONSENT_STATEMENT_REQUIRED", "Give the text of the consent statement.")
	}
	tooLong(&l, "The code", is.Code, 50)
	tooLong(&l, "The statement", is.Statement, maxStatement)
	status(&l, &is.ActivityStatus)
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		id, err := b.number(ctx, c, string(ConsentStatement))
		if err != nil {
			return err
		}
		key := SetKey(ConsentStatement, id)
		b.claim(c, uniqueStatementCode, is.Code, statementCodeMark(is.Code), key, id, "")
		b.claim(c, uniqueStatement, is.Statement, statementMark(is.Statement), key, id, "")
		return b.insert(c, ConsentStatement, key, id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueStatementCode, was.Code, is.Code, statementCodeMark, rec); err != nil {
		return err
	}
	if err := b.reclaim(ctx, c, uniqueStatement, was.Statement, is.Statement, statementMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// maxStatement bounds the text of a statement, in characters.
const maxStatement = 2000

// statement finds a consent statement, 0 where there is none.
func (b *Batch) statement(ctx context.Context, ref StatementRef) (int64, error) {
	switch {
	case ref.ID != 0:
		rec, err := b.rec(ctx, SetKey(ConsentStatement, ref.ID))
		if err != nil || rec == nil || statusOf(rec) == StatusDisabled {
			return 0, err
		}
		return ref.ID, nil
	case ref.Code != "":
		return b.setID(ctx, statementCodeMark(ref.Code), uniqueStatementCode, ref.Code)
	case ref.Statement != "":
		return b.setID(ctx, statementMark(ref.Statement), uniqueStatement, ref.Statement)
	}
	return 0, nil
}
