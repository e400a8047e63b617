package api

import "aliquot/shared/biobank"

// units reads what the specimens of a protocol are measured in (reference openspecimen-rest.md section 9: part of its
// definition). It takes them with POST and PUT of a protocol as well, since there is no other call that changes them; nil
// where they were not sent.
func (in *input) units() []biobank.Unit {
	sent := in.objects("units")
	if sent == nil {
		return nil
	}
	units := []biobank.Unit{}
	for _, u := range sent {
		units = append(units, biobank.Unit{
			Class: u.text("specimenClass"), Type: u.text("type"),
			Quantity: u.text("quantityUnit"), Concentration: u.text("concentrationUnit"),
		})
	}
	return units
}
