package api

import (
	"strings"

	"aliquot/shared/biobank"
)

// Consent statements. The reference names their codes (openspecimen-rest.md section 22) and that protocols refer to them;
// the calls are those of other small sets.

func statements() noun {
	return noun{
		path: "/consent-statements", typ: biobank.ConsentStatement, shows: statementView{},
		view: func(_ *related, rec *biobank.Record) (any, error) {
			doc, err := biobank.Decode[biobank.StatementDoc](rec)
			return statementView{rec.ID, doc.Code, doc.Statement, doc.ActivityStatus}, err
		},
	}
}

type statementView struct {
	ID             int64  `json:"id"`
	Code           string `json:"code"`
	Statement      string `json:"statement"`
	ActivityStatus string `json:"activityStatus"`
}

func statementRoutes() []route {
	n := statements()
	gone := removal{noun: n}
	list := members[biobank.StatementDoc]{
		noun: n, start: "startAt",
		fits: func(_ *call, q *query) (func(int64, *biobank.StatementDoc) bool, error) {
			code, text, any := q.text("code"), q.text("statement"), q.text("searchString")
			return func(_ int64, doc *biobank.StatementDoc) bool {
				return like(doc.Code, code, false) && like(doc.Statement, text, false) &&
					(like(doc.Code, any, false) || like(doc.Statement, any, false))
			}, nil
		},
		less: func(a, b *biobank.StatementDoc) int {
			return strings.Compare(biobank.Fold(a.Code), biobank.Fold(b.Code))
		},
	}
	draft := func(in *input, id int64) biobank.Draft {
		return &biobank.StatementDraft{ID: id, Doc: biobank.StatementDoc{
			Code: in.text("code"), Statement: in.text("statement"), ActivityStatus: in.text("activityStatus"),
		}}
	}
	return append(
		list.routes(),
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return draft(in, 0) }),
		changeRoute("PUT", n, draft),
		deleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
	)
}

// statementRef reads how an object names a consent statement.
func (in *input) statementRef() biobank.StatementRef {
	ref := biobank.StatementRef{ID: in.number("statementId"), Code: in.text("statementCode"), Statement: in.text("statement")}
	if ref.Code == "" {
		ref.Code = in.text("code")
	}
	return ref
}
