package api_test

// consentRows are the rights of consents: of what is asked for, the protocol's; of what was answered, their own.
func consentRows() []row {
	seen := columns{"...--", "..x--", ".xx--", "xxx--", "xxx--", "xxx--"}
	rows := []row{
		{pattern: "GET /consent-statements", want: anybody},
		{pattern: "GET /consent-statements/count", want: anybody},
		{pattern: "POST /consent-statements", body: `{}`, want: columns{"v", "x", "x", "x", "x", "x"}},
	}
	const one = "/consent-statements/{id}"
	const cp = "/collection-protocols/{id}"
	return append(
		rows,
		row{pattern: "GET " + one, kind: "statement", want: directory},
		row{pattern: "PUT " + one, kind: "statement", body: `{"code":"CALL","statement":"We may call."}`, want: superOnly},
		row{pattern: "DELETE " + one, kind: "statement", want: superOnly.with("v")},
		row{pattern: "GET " + one + "/dependent-entities", kind: "statement", want: columns{"...--", "xxx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		row{pattern: "GET " + one + "/audit", kind: "statement", want: columns{"...--", "xxx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		row{pattern: "PUT " + cp + "/consents-waived", kind: "cp", body: `{"consentsWaived":false}`, want: define},
		row{pattern: "PUT " + cp + "/consents-source", kind: "cp", body: `{}`, want: define},
		row{pattern: "GET " + cp + "/consent-tiers", kind: "cp", want: see},
		row{pattern: "POST " + cp + "/consent-tiers", kind: "cp", body: `{}`, want: define.with("v")},
		row{pattern: "PUT " + cp + "/consent-tiers/{tier}", path: "/collection-protocols/{cpID}/consent-tiers/{tierID}", body: `{"statementCode":"CALL"}`, want: define},
		row{pattern: "DELETE " + cp + "/consent-tiers/{tier}", path: "/collection-protocols/{cpID}/consent-tiers/987654", want: columns{"-----", "--x--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		row{pattern: "GET " + cp + "/consent-tiers/{tier}/dependent-entities", path: "/collection-protocols/{cpID}/consent-tiers/{tierID}/dependent-entities", want: see.with("e")},
		row{pattern: "GET /collection-protocol-registrations/{id}/consents", kind: "registration", want: seen},
		row{pattern: "PUT /collection-protocol-registrations/{id}/consents", kind: "registration", body: `{"comments":"x"}`, want: seen},
		row{pattern: "GET /collection-protocol-registrations/{id}/consent-form", kind: "registration", want: seen.with("-")},
		row{pattern: "POST /collection-protocol-registrations/{id}/consent-form", proved: "TestSignedConsentForms"},
		row{pattern: "PUT /collection-protocol-registrations/{id}/consent-form", kind: "registration", body: `{}`, want: seen.with("-")},
		row{pattern: "POST /collection-protocol-registrations/{id}/consent-form/upload-url", kind: "registration", body: `{"filename":"x.pdf"}`, want: seen},
		row{pattern: "DELETE /collection-protocol-registrations/{id}/consent-form", kind: "registration", want: seen.with("-")},
	)
}
