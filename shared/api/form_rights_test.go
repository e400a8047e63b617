package api_test

// formRows are the routes of forms. Those about a form and its records are proved by tests of their own, since a form
// belongs to nobody, and a record is as its object.
func formRows() []row {
	mine := columns{"eee--", "eex--", "xxx--", "xxx--", "xxx--", "xxx--"} // of users: for their administrators
	const entity = "?entityType=SpecimenCollectionGroup&objectId={visitID}"
	everybody := columns{"...--", "...--", "...--", "...--", "...--", "...--"}
	managers := columns{"...--", "...--", "xxx--", "xxx--", "xxx--", "xxx--"}
	rows := []row{
		{pattern: "GET /forms", want: anybody},
		{pattern: "GET /forms/count", want: anybody},
		{pattern: "GET /forms/definition", query: "?name=habits", want: anybody},
		{pattern: "GET /forms/{id}/definition", kind: "form", want: everybody},
		{pattern: "PUT /forms/{id}", kind: "form", body: `{"name":"habits","caption":"Habits","rows":[[{"type":"stringTextField","name":"ST1","udn":"note","caption":"Note"}],[{"type":"combobox","name":"DD2","udn":"smokes","caption":"Smokes","pvs":[{"value":"Yes"},{"value":"No"}]}]]}`, want: managers},
		{pattern: "DELETE /forms/{id}", proved: "TestFormAssociations"},
		{pattern: "DELETE /forms", proved: "TestFormDefinitions"},
		{pattern: "GET /forms/{id}/fields", kind: "form", want: everybody},
		{pattern: "GET /forms/{id}/permissible-values", kind: "form", query: "?controlName=DD2", want: everybody},
		{pattern: "GET /forms/{id}/audit", kind: "form", want: managers},
		{pattern: "GET /forms/{id}/contexts", kind: "form", want: columns{"...--", "...--", "...--", "...--", "...--", "eee--"}},
		{pattern: "PUT /forms/{id}/contexts", kind: "form", body: `[{"level":"SpecimenCollectionGroup","collectionProtocol":{"id":{cpID}},"multiRecord":true}]`, want: columns{"...--", "..x--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "DELETE /forms/{id}/contexts", proved: "TestFormAssociations"},
		{pattern: "GET /collection-protocols/{id}/forms", kind: "cp", want: see},
		{pattern: "POST /forms/{id}/data", kind: "form", body: `{"appData":{"formCtxtId":{contextID},"objectId":{visitID}},"ST1":"x"}`, want: work},
		{pattern: "PUT /forms/{id}/data", kind: "form", body: `{"appData":{"formCtxtId":{contextID},"objectId":{visitID},"id":{recordID}},"id":{recordID},"ST1":"y"}`, want: work},
		{pattern: "GET /forms/{id}/data/{recordId}", path: "/forms/{formID}/data/{recordID}", want: see},
		{pattern: "DELETE /forms/{id}/data/{recordId}", proved: "TestFormRecords"},
		{pattern: "GET /forms/{id}/data/{recordId}/audit", path: "/forms/{formID}/data/{recordID}/audit", want: columns{"...--", "..x--", ".xx--", ".xx--", ".xx--", "xxxx-"}},
		{pattern: "GET /forms/{id}/records", kind: "form", query: entity, want: see},
		{pattern: "GET /forms/{id}/latest-records", kind: "form", query: entity, want: see},
		{pattern: "POST /form-files", proved: "TestFormFiles"},
		{pattern: "POST /form-files/upload-url", proved: "TestFormFiles"},
		{pattern: "GET /form-files", proved: "TestFormFiles"},
		{pattern: "GET /form-files/{fileId}", proved: "TestFormFiles"},
	}
	for kind, path := range map[string]string{
		"registration": "/collection-protocol-registrations", "visit": "/visits", "specimen": "/specimens", "user": "/users",
	} {
		want, ctx := see.with("e"), see.with("v") // of a visit the form, of others none
		switch kind {
		case "user":
			want, ctx = mine, columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}
		case "visit":
			want, ctx = see, see
		}
		rows = append(
			rows,
			row{pattern: "GET " + path + "/{id}/forms", kind: kind, want: want},
			row{pattern: "GET " + path + "/{id}/extension-records", kind: kind, want: want},
			row{pattern: "GET " + path + "/{id}/forms/{ctxId}/records", path: path + "/{id}/forms/{contextID}/records", kind: kind, want: ctx},
		)
	}
	for _, path := range []string{"/sites", "/collection-protocols", "/collection-protocol-registrations", "/participants", "/visits", "/specimens", "/storage-containers", "/distribution-protocols", "/distribution-orders"} {
		rows = append(rows, row{pattern: "GET " + path + "/extension-form", query: "?cpId={cpID}", want: see})
	}
	return rows
}
