package biobank

import (
	"encoding/json"
	"testing"
)

func FuzzSpecimenJSON(f *testing.F) {
	f.Add("S-1", "a<b>&\"c\\\u2028\x01\xff\n", int64(5), int64(1_500_000))
	f.Add("", "", int64(0), int64(0))
	f.Fuzz(func(t *testing.T, label, text string, n, amount int64) {
		q := Quantity(amount % int64(MaxQuantity))
		full := &SpecimenDoc{
			RequirementID: n, Label: label, AdditionalLabel: text, Barcode: text, Class: text, Type: label, Lineage: text,
			AnatomicSite: text, Laterality: label, Pathology: text, Status: text, InitialQty: &q, AvailableQty: &q,
			Concentration: &q, Biohazards: []string{text, label}, FreezeThawCycles: n, CreatedOn: n, CreatedBy: n, ImageID: text,
			ExternalIDs: []ExternalID{{text, label}, {label, text}}, Comments: text,
			StorageType: text, SortOrder: &n, PreBarcoded: new(bool), LabelPrintMode: label,
			Collection: &CollectionEvent{n, n, text, label, text}, Received: &ReceivedEvent{n, n, text, label},
			Disposal: &DisposalEvent{n, n, text, label}, Pool: []int64{n, 7}, PoolID: n,
			Location: &Location{n, n, amount}, CheckedOut: &Location{ContainerID: n}, Moved: &Move{n, amount, text},
			Serial: n, Custody: &Custody{n, []int64{n, -n}, n > 0, n, n, text}, ActivityStatus: text,
			Extension: &Extension{n, text, FormValues{"a<b": []byte(`[1,"<x>"]`), label: []byte(`true`)}},
		}
		for _, doc := range []*SpecimenDoc{full, {Label: label, Collection: &CollectionEvent{}, Custody: &Custody{}, Moved: &Move{}}} {
			want, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(doc.AppendJSON(nil)); got != string(want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	})
}
