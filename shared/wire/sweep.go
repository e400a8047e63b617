package wire

import (
	"context"
	"errors"
)

// Sweep assembles what sweep does: what the imports of CSV and those of ODM left lying, each whatever becomes of the other.
func Sweep(ctx context.Context) (func(context.Context) error, error) {
	csv, _, err := Importer(ctx)
	if err != nil {
		return nil, err
	}
	odm, _, err := OdmImporter(ctx)
	if err != nil {
		return nil, err
	}
	csv.Clinical = odm.Missed
	return func(ctx context.Context) error { return errors.Join(csv.Sweep(ctx), odm.Sweep(ctx)) }, nil
}
