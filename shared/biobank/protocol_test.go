package biobank_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// leisurely is a store that takes a second to read a page of a tree.
type leisurely struct{ *biobanktest.Memory }

func (s leisurely) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	if strings.Count(part, "#") > 1 {
		time.Sleep(time.Second)
	}
	return s.Memory.List(ctx, part, prefix, after, limit)
}

// Whether a specimen was collected without a barcode is looked for in all shards at once, and no further than the first.
func TestBarcodingReadsTheShardsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := biobanktest.NewMemory()
		r := &biobank.Registry{Store: m}
		admin := newWorld(t, r)
		mustApply(t, r, admin, registration("P-1"), visit("P-1", "V"))
		enable := func(on bool) (string, time.Duration) {
			begun := time.Now()
			out, err := (&biobank.Registry{Store: leisurely{m}}).Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Update, ID: "barcoding", Draft: &biobank.ProtocolDraft{
				Doc:   biobank.ProtocolDoc{ShortTitle: "Blood"},
				Merge: func(d *biobank.ProtocolDoc) { d.BarcodingEnabled, d.SpecimenBarcodeFmt = on, "%CP_UID%" },
			}}})
			if err != nil {
				t.Fatal(err)
			}
			return codesOf(out[0].Err, true), time.Since(begun)
		}
		if codes, took := enable(true); codes != "" || took != time.Second {
			t.Errorf("it took %s, with %q", took, codes)
		}
		enable(false)
		mustApply(t, r, admin, primary("V", "S", 1))
		if codes, took := enable(true); codes != "CP_CANNOT_ENABLE_BARCODING" || took != time.Second {
			t.Errorf("with a specimen without a barcode it took %s, with %q", took, codes)
		}
	})
}
