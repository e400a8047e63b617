package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"aliquot/shared/jobs"
	"aliquot/shared/odm"
	"aliquot/shared/odmexport"
	"aliquot/shared/odmimport"
	"aliquot/shared/wire"
)

// odmRetrieveSpec is what a process that collects a study is told. Everything else is in its environment.
type odmRetrieveSpec struct {
	User  int64
	Study string
}

// odmRetrieved is what collecting a study took, and the bytes of the document.
type odmRetrieved struct {
	measured
	Bytes int
}

// odmRetrieve collects all data of a study as XML, through a counting endpoint.
func (b *bench) odmRetrieve(ctx context.Context, user int64, study string) (got odmRetrieved, n counts, err error) {
	through, err := startEndpoint(ctx, endpointSpec{DynamoDB: b.stack.DynamoDBEndpoint, Jobs: b.tables.Jobs})
	if err != nil {
		return got, n, err
	}
	defer through.stop()
	if err := child(ctx, "odm-retrieve", odmRetrieveSpec{user, study}, b.environment("odmimport", through.url), &got); err != nil {
		return got, n, fmt.Errorf("retrieve %s: %w", study, err)
	}
	n, err = through.counts(ctx)
	return got, n, err
}

// runODMRetrieve collects a study as the function odmimport would, and prints what it took.
func runODMRetrieve(ctx context.Context, doc []byte) error {
	var spec odmRetrieveSpec
	if err := json.Unmarshal(doc, &spec); err != nil {
		return err
	}
	im, _, err := wire.OdmImporter(ctx)
	if err != nil {
		return err
	}
	ask, err := json.Marshal(odmexport.Request{Study: spec.Study, Data: true})
	if err != nil {
		return err
	}
	var out written
	took, err := taken(func() error {
		d, err := im.Document(ctx, &jobs.Job{OwnerID: spec.User, CreatedAt: im.Now(), Params: map[string]string{odmimport.ParamRequest: string(ask)}})
		if err == nil {
			_, err = d.Write(ctx, &out, nil, nil)
		}
		return err
	})
	if err != nil {
		return err
	}
	return printed(odmRetrieved{took, int(out)})
}

// odmChanges change one value of each form that odmParts have of so many subjects.
func odmChanges(subjects int) iter.Seq[odm.Part] {
	return func(yield func(odm.Part) bool) {
		for s := range subjects {
			key, id := odmKey(s)
			group := odmGroup(s, 0)
			group.ItemData = group.ItemData[:1]
			group.ItemData[0].Value += "5"
			parts := append([]odm.Part{&odm.SubjectData{SubjectKey: key, StudySubjectID: id}}, odmForm(1)...)
			for _, p := range append(parts, group, odm.EndFormData, odm.EndStudyEventData, odm.EndSubjectData) {
				if !yield(p) {
					return
				}
			}
		}
	}
}
