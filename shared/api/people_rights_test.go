package api_test

// peopleRows are the rights of what is done with several registrations and participants.
func peopleRows() []row {
	return []row{
		{pattern: "POST /collection-protocol-registrations/matches", body: `[{"participant":{"uid":"U-{short}"}}]`, want: anybody},
		{pattern: "POST /collection-protocol-registrations/bulk", body: `{"cpId":{cpID},"ppids":["M-{short}"]}`, want: people.with("v")},
		{pattern: "PUT /collection-protocol-registrations/{id}/anonymize", kind: "registration", proved: "TestWhoMayAnonymize"},
		{pattern: "POST /participants/multi-match", body: `[{"uid":"U-{short}"}]`, want: anybody},
	}
}
