package store_test

import (
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/store"
)

func tablesOf(names map[string]string) store.Tables {
	return store.Tables{Records: names["records"], Audit: names["audit"], Jobs: names["jobs"], Sessions: names["sessions"]}
}

func TestRecordsConform(t *testing.T) {
	biobanktest.Conform(t, func(t *testing.T) biobank.Store {
		s := localtest.Data(t)
		return store.NewRecords(store.NewClient(s.AWSConfig()), tablesOf(s.Tables))
	})
}
