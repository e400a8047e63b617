package api_test

// protocolRows are the rows of what defines protocols besides their fields.
func protocolRows() []row {
	create := columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}
	return []row{
		{pattern: "GET /collection-protocols/{id}/definition", kind: "cp", want: see},
		{pattern: "POST /collection-protocols/definition", body: `{"shortTitle":"{short}","title":"{short} study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"{siteName}"}]}`, want: columns{"vvv", "vvx", "xxx", "xxx", "xxx", "xxx"}},
		{pattern: "POST /collection-protocols/merge", body: `{"srcCpShortTitle":"{short}","tgtCpShortTitle":"{short}"}`, want: columns{"vvv--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "POST /collection-protocols/{id}/copy", kind: "cp", body: `{"shortTitle":"{short}","title":"{short} study"}`, want: create},
		{pattern: "GET /collection-protocols/{id}/workflows", kind: "cp", want: see},
		{pattern: "PUT /collection-protocols/{id}/workflows", kind: "cp", body: `[]`, want: define},
		{pattern: "PATCH /collection-protocols/{id}/workflows", kind: "cp", body: `[]`, want: define},
		{pattern: "POST /collection-protocols/{id}/labels", kind: "cp", want: see},
		{pattern: "DELETE /collection-protocols/{id}/labels", kind: "cp", want: see},
		{pattern: "GET /collection-protocols/barcoding-enabled", want: anybody},
		{pattern: "GET /collection-protocols/list-config", query: "?listName=participant-list-view&cpId={cpID}", want: see},
		{pattern: "GET /collection-protocols/list-detail", query: "?listName=participant-list-view&cpId={cpID}", want: see},
		{pattern: "POST /collection-protocols/list-detail", query: "?listName=specimen-list-view&cpId={cpID}", body: "[]", want: see},
		{pattern: "GET /collection-protocols/list-size", query: "?listName=specimen-list-view&cpId={cpID}", want: see},
		{pattern: "POST /collection-protocols/list-size", query: "?listName=participant-list-view&cpId={cpID}", body: "[]", want: see},
		{pattern: "GET /collection-protocols/expression-values", query: "?listName=specimen-list-view&cpId={cpID}&expr=Specimen.type", want: see},

		{pattern: "POST /collection-protocol-events/{id}/copy", kind: "event", body: `{}`, want: define.with("v")},
		{pattern: "POST /specimen-requirements/{id}/copy", kind: "requirement", body: `{"anatomicSite":"x"}`, want: define.with("v")},
		{pattern: "POST /specimen-requirements/{id}/aliquots", kind: "requirement", body: `{"noOfAliquots":1,"qtyPerAliquot":-1}`, want: define.with("v")},
		{pattern: "POST /specimen-requirements/{id}/derived", kind: "requirement", body: `{}`, want: define.with("v")},
	}
}
