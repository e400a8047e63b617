package api_test

// formRows are the routes of forms. Those about a form and its records are proved by tests of their own, since a form
// belongs to nobody, and a record is as its object.
func formRows() []row {
	mine := columns{"eee--", "eex--", "xxx--", "xxx--", "xxx--", "xxx--"} // of users: for their administrators
	rows := []row{
		{pattern: "GET /forms", want: columns{"e", "e", "e", "e", "e", "e"}},
		{pattern: "GET /forms/count", want: columns{"e", "e", "e", "e", "e", "e"}},
		{pattern: "GET /forms/definition", proved: "TestFormDefinitions"},
		{pattern: "GET /forms/{id}/definition", proved: "TestFormDefinitions"},
		{pattern: "PUT /forms/{id}", proved: "TestFormAssociations"},
		{pattern: "DELETE /forms/{id}", proved: "TestFormAssociations"},
		{pattern: "DELETE /forms", proved: "TestFormDefinitions"},
		{pattern: "GET /forms/{id}/fields", proved: "TestFormDefinitions"},
		{pattern: "GET /forms/{id}/permissible-values", proved: "TestFormDefinitions"},
		{pattern: "GET /forms/{id}/audit", proved: "TestFormAssociations"},
		{pattern: "GET /forms/{id}/contexts", proved: "TestFormAssociations"},
		{pattern: "PUT /forms/{id}/contexts", proved: "TestFormAssociations"},
		{pattern: "DELETE /forms/{id}/contexts", proved: "TestFormAssociations"},
		{pattern: "GET /collection-protocols/{id}/forms", kind: "cp", want: see.with("e")},
		{pattern: "POST /forms/{id}/data", proved: "TestFormRecords"},
		{pattern: "PUT /forms/{id}/data", proved: "TestFormRecords"},
		{pattern: "GET /forms/{id}/data/{recordId}", proved: "TestFormRecords"},
		{pattern: "DELETE /forms/{id}/data/{recordId}", proved: "TestFormRecords"},
		{pattern: "GET /forms/{id}/data/{recordId}/audit", proved: "TestFormRecords"},
		{pattern: "GET /forms/{id}/records", proved: "TestFormRecords"},
		{pattern: "GET /forms/{id}/latest-records", proved: "TestFormRecords"},
		{pattern: "POST /form-files", proved: "TestFormFiles"},
		{pattern: "POST /form-files/upload-url", proved: "TestFormFiles"},
		{pattern: "GET /form-files", proved: "TestFormFiles"},
		{pattern: "GET /form-files/{fileId}", proved: "TestFormFiles"},
	}
	for kind, path := range map[string]string{
		"registration": "/collection-protocol-registrations", "visit": "/visits", "specimen": "/specimens", "user": "/users",
	} {
		want := see.with("e")
		if kind == "user" {
			want = mine
		}
		rows = append(
			rows,
			row{pattern: "GET " + path + "/{id}/forms", kind: kind, want: want},
			row{pattern: "GET " + path + "/{id}/extension-records", kind: kind, want: want},
			row{pattern: "GET " + path + "/{id}/forms/{ctxId}/records", proved: "TestFormRecords"},
		)
	}
	for _, path := range []string{"/sites", "/collection-protocols", "/collection-protocol-registrations", "/participants", "/visits", "/specimens", "/storage-containers", "/distribution-protocols", "/distribution-orders"} {
		rows = append(rows, row{pattern: "GET " + path + "/extension-form", query: "?cpId={cpID}", want: see})
	}
	return rows
}
