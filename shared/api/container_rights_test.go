package api_test

// containerRows are the rows of the rights test about containers and their types. A container belongs to a site: who
// holds the right in whatever protocol of the site may see it.
func containerRows() []row {
	see := columns{"...--", "..x--", "..x--", "..x--", "xxx--", "xxx--"}
	types := columns{"...--", "...--", "...--", "...--", "...--", "...--"}
	admins := columns{"...--", "...--", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}
	const path = "/storage-containers"
	return []row{
		{pattern: "GET /container-types", want: anybody},
		{pattern: "GET /container-types/count", want: anybody},
		{pattern: "GET /container-types/byname", query: "?name=Crate", want: anybody},
		{pattern: "GET /container-types/{id}", kind: "containertype", want: types},
		{pattern: "POST /container-types", body: `{}`, want: columns{"v", "v", "x", "x", "x", "x"}},
		{pattern: "PUT /container-types/{id}", kind: "containertype", body: `{"name":"Crate","nameFormat":"%PCONT_NAME%-%PCONT_UID%","noOfRows":2,"noOfColumns":2}`, want: admins},
		{pattern: "DELETE /container-types/{id}", kind: "containertype", want: admins.with("v")},
		{pattern: "DELETE /container-types", query: "?id={containertypeID}", want: admins.with("v")},
		{pattern: "GET /container-types/{id}/dependent-entities", kind: "containertype", want: columns{"...--", "...--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET /container-types/{id}/audit", kind: "containertype", want: columns{"...--", "...--", "xxx--", "xxx--", "xxx--", "xxx--"}},

		{pattern: "GET " + path, query: "?name=C-{short}", want: columns{"...ee", "..eee", "..eee", "..eee", "eeeee", "eeeee"}},
		{pattern: "GET " + path + "/count", query: "?name=C-{short}", want: columns{"...ee", "..eee", "..eee", "..eee", "eeeee", "eeeee"}},
		{pattern: "GET " + path + "/byname", query: "?name=C-{short}", want: see},
		{pattern: "GET " + path + "/{id}", kind: "container", want: see},
		{pattern: "POST " + path, body: `{"name":"C-{short}","siteName":"{siteName}"}`, want: columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "PUT " + path + "/{id}", kind: "container", body: `{"name":"C-{short}","siteName":"{siteName}","noOfRows":9,"noOfColumns":9,"storeSpecimensEnabled":true}`, want: define},
		{pattern: "PATCH " + path + "/{id}", kind: "container", body: `{"comments":"x"}`, want: define},
		{pattern: "PUT " + path + "/bulk-update", body: `{"ids":[{containerID}],"detail":{"comments":"y"}}`, want: define},
		{pattern: "DELETE " + path + "/{id}", kind: "container", want: define.with("v")},
		{pattern: "DELETE " + path, query: "?id={containerID}", want: define.with("v")},
		{pattern: "GET " + path + "/{id}/dependent-entities", kind: "container", want: see},
		{pattern: "GET " + path + "/{id}/audit", kind: "container", want: columns{"....-", "..x.-", "..x.-", "..x.-", "xxxx-", "xxxx-"}, local: "..xxx-"},
		{pattern: "GET " + path + "/{id}/occupied-positions", kind: "container", want: see},
		{pattern: "POST " + path + "/{id}/occupied-positions", kind: "container", body: `{"positions":[{"position":81,"occuypingEntity":"specimen","occupyingEntityId":987654}]}`, want: columns{"-----", "--x--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/vacant-positions", kind: "container", want: see},
		{pattern: "GET " + path + "/vacant-positions", query: "?name=C-{short}", want: see},
		{pattern: "PUT " + path + "/{id}/block-positions", kind: "container", body: `[{"position":81}]`, want: define},
		{pattern: "PUT " + path + "/{id}/unblock-positions", kind: "container", body: `[{"position":81}]`, want: define},
		{pattern: "POST " + path + "/reserve-positions", body: `{"tenants":[{"containerId":{containerID}}]}`, want: see},
		{pattern: "DELETE " + path + "/reserve-positions", query: "?reservationId={containerID}-0", want: see},
		{pattern: "DELETE " + path + "/reserve-positions/{reservation}", path: path + "/reserve-positions/{containerID}-0", want: see},
		{pattern: "POST " + path + "/multiple", body: `[{"name":"C-{short}","siteName":"{siteName}"}]`, want: columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "POST " + path + "/create-hierarchy", body: `{"typeName":"Crate","name":"C-{short}","siteName":"{siteName}"}`, want: columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "POST " + path + "/{id}/replica", kind: "container", body: `{"destinations":[{"name":"C-{short}","siteName":"{siteName}"}]}`, want: columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/child-containers", kind: "container", want: see.with("e")},
		{pattern: "GET " + path + "/{id}/descendant-containers", kind: "container", want: see.with("e")},
		{pattern: "GET " + path + "/{id}/ancestors-hierarchy", kind: "container", want: see},
		// Of the container's specimens those are shown that the caller may see.
		{pattern: "GET " + path + "/{id}/specimens", kind: "container", want: columns{"...--", "..x--", ".ex--", ".ex--", "xxx--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/specimens-count", kind: "container", want: columns{"...--", "..x--", ".ex--", ".ex--", "xxx--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/transfer-events", kind: "container", want: see.with("e")},
		{pattern: "GET " + path + "/{id}/export-map", kind: "container", want: see},
		{pattern: "GET " + path + "/{id}/report", kind: "container", want: see},
	}
}
