package biobanktest_test

import (
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

func TestMemoryConforms(t *testing.T) {
	biobanktest.Conform(t, func(*testing.T) biobank.Store { return biobanktest.NewMemory() })
}
