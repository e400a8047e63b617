package api_test

// consentRows are the rights of consents: of what is asked for, the protocol's; of what was answered, their own.
func consentRows() []row {
	seen := columns{"...--", "..x--", ".xx--", "xxx--", "xxx--", "xxx--"}
	rows := []row{
		{pattern: "GET /consent-statements", want: anybody.with("e")},
		{pattern: "GET /consent-statements/count", want: anybody.with("e")},
		{pattern: "POST /consent-statements", body: `{}`, want: columns{"v", "x", "x", "x", "x", "x"}},
	}
	for _, pattern := range []string{"GET /consent-statements/{id}", "PUT /consent-statements/{id}", "DELETE /consent-statements/{id}", "GET /consent-statements/{id}/dependent-entities", "GET /consent-statements/{id}/audit"} {
		rows = append(rows, row{pattern: pattern, proved: "TestWhoMayHandleConsentStatements"})
	}
	const cp = "/collection-protocols/{id}"
	return append(
		rows,
		row{pattern: "PUT " + cp + "/consents-waived", kind: "cp", body: `{"consentsWaived":false}`, want: define},
		row{pattern: "PUT " + cp + "/consents-source", kind: "cp", body: `{}`, want: define},
		row{pattern: "GET " + cp + "/consent-tiers", kind: "cp", want: see.with("e")},
		row{pattern: "POST " + cp + "/consent-tiers", kind: "cp", body: `{}`, want: define.with("v")},
		row{pattern: "PUT " + cp + "/consent-tiers/{tier}", proved: "TestWhoMayChangeConsentTiers"},
		row{pattern: "DELETE " + cp + "/consent-tiers/{tier}", proved: "TestWhoMayChangeConsentTiers"},
		row{pattern: "GET " + cp + "/consent-tiers/{tier}/dependent-entities", proved: "TestWhoMayChangeConsentTiers"},
		row{pattern: "GET /collection-protocol-registrations/{id}/consents", kind: "registration", want: seen},
		row{pattern: "PUT /collection-protocol-registrations/{id}/consents", kind: "registration", body: `{"comments":"x"}`, want: seen},
		row{pattern: "GET /collection-protocol-registrations/{id}/consent-form", kind: "registration", want: seen.with("-")},
		row{pattern: "POST /collection-protocol-registrations/{id}/consent-form", proved: "TestSignedConsentForms"},
		row{pattern: "PUT /collection-protocol-registrations/{id}/consent-form", kind: "registration", body: `{}`, want: seen.with("-")},
		row{pattern: "POST /collection-protocol-registrations/{id}/consent-form/upload-url", kind: "registration", body: `{"filename":"x.pdf"}`, want: seen},
		row{pattern: "DELETE /collection-protocol-registrations/{id}/consent-form", kind: "registration", want: seen.with("-")},
	)
}
