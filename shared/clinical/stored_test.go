package clinical

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"aliquot/shared/biobank"
)

// longest tells how many records a list of the store had at the most, and all had together.
type longest struct {
	*bank
	list, all int
}

func (s *longest) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	recs, err := s.bank.List(ctx, part, prefix, after, limit)
	s.list, s.all = max(s.list, len(recs)), s.all+len(recs)
	return recs, err
}

// However much a participant has, the few files among it are found a page at a time.
func TestFilesOfMuch(t *testing.T) {
	s := &longest{bank: newBank(t)}
	for n := range 3 * groupPage {
		g := Group{OID: "IG_ROWS", Key: n + 1, Values: map[string]string{"I_ROW": "1"}}
		if n%groupPage == groupPage-1 {
			g.Values["I_SCAN"], g.Files = fmt.Sprintf("%d.pdf", n/groupPage), map[string]string{"I_SCAN": "attached/10/o/scan"}
		}
		text, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		key := GroupKey(1, Path{Event: "SE_FIRST", EventKey: 1, Form: "F_VITALS", Group: "IG_ROWS", GroupKey: n + 1})
		if _, err := s.Transact(t.Context(), []biobank.Write{{Kind: biobank.InsertRecord, Record: &biobank.Record{Key: key, Type: GroupType, ID: 1, Version: 1, Doc: text}}}); err != nil {
			t.Fatal(err)
		}
	}
	study := &Held{ID: 10}
	by := &Actor{Actor: &biobank.Actor{ID: 7}, grants: []Grant{{Study: 10, Role: DataManager}}}
	files, err := (&Registry{Store: s}).StoredFiles(t.Context(), by, &Place{Study: study, Site: study}, "SS_ANN", "")
	if err != nil || len(files) != 3 || !files[Stored{"I_SCAN", "0.pdf"}] || !files[Stored{"I_SCAN", "2.pdf"}] {
		t.Errorf("files %v, %v", files, err)
	}
	if s.list > groupPage {
		t.Errorf("%d records are held at once", s.list)
	}
}
