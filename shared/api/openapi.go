package api

import (
	"net/http"
	"slices"
	"strings"
)

// The document of the API, in OpenAPI 3.1, below both prefixes and at the root. It is made of the routes when it is first
// asked for: what a route answers is told by a value of that type (schema.go), what it reads is found by rehearsing it
// (recording.go).

const documentPath = "/openapi.json"

func documentRoutes() []route {
	return []route{{
		pattern: "GET " + documentPath, public: true, summary: "This document", answers: map[string]any{},
		serve: func(c *call) (any, error) { return c.api.document() },
	}}
}

// file is the answer of a route that sends a file, by its media type.
type file string

// either is one of several answers.
type either []any

// dict is a JSON object of the document; encoding/json sorts its members.
type dict = map[string]any

// about says what holds for all routes.
const about = `The REST API of OpenSpecimen as Aliquot serves it, below /openspecimen/rest/ng and below /rest/ng.

Sign in with POST /sessions and send the token as X-OS-API-TOKEN; the cookie osAuthToken and Basic credentials do as well.
Success is always 200. What the caller can mend is 400 with a list of codes and messages, also what is not found or not
allowed. Slashes at the end and doubled ones do not matter, /byid/ may stand before an id, and OPTIONS is answered
everywhere.

Numbers and booleans may be sent as text; "" and null stand for absent; members that are not known are ignored. Dates are
taken as milliseconds, yyyy-MM-dd, or ISO 8601 with a zone, and answered as milliseconds. Lists in a query are repeated or
joined with commas. A page has at most 1000 items.

A body may have 4 MB. Files that are larger go to a URL that the upload-url call beside the upload gives, up to 5 GB. An
answer over 4 MB is stored, and answered with 303 to a URL that is good for 15 minutes; the body repeats the URL for clients
that do not follow.`

// document describes routes.
func document(all []route) dict {
	s := newSchemas()
	paths := dict{}
	for _, r := range all {
		verb, path, _ := strings.Cut(r.pattern, " ")
		path = strings.ReplaceAll(path, "...}", "}")
		ops, ok := paths[path].(dict)
		if !ok {
			ops = dict{}
			paths[path] = ops
		}
		ops[strings.ToLower(verb)] = operation(s, r, verb, path)
	}
	s.named["Faults"] = s.of([]problem{})
	s.of(elsewhere{}) // names itself
	refused := func(what string) dict {
		return dict{"description": what, "content": inJSON(dict{"$ref": "#/components/schemas/Faults"})}
	}
	return dict{
		"openapi": "3.1.0",
		"info":    dict{"title": "Aliquot", "version": "1", "description": about, "license": dict{"name": "Apache 2.0", "identifier": "Apache-2.0"}},
		"servers": []dict{{"url": "/openspecimen/rest/ng"}, {"url": "/rest/ng"}},
		"paths":   paths,
		"components": dict{
			"schemas": s.named,
			"responses": dict{
				"Refused":    refused("What the caller can mend: 400, or 401 for somebody who is not signed in, 413 for a body over 4 MB."),
				"Failed":     refused("500 with an id to look for in the log, or 503 with Retry-After for a request to repeat."),
				"TooLarge":   refused("The body is over 4 MB; the message names what to call for larger files, where there is such a call."),
				"StoredFile": dict{"description": "The answer is over 4 MB and lies at this URL for 15 minutes.", "headers": dict{"Location": dict{"schema": dict{"type": "string"}}}, "content": inJSON(dict{"$ref": "#/components/schemas/Elsewhere"})},
			},
			"securitySchemes": dict{
				"token":  dict{"type": "apiKey", "in": "header", "name": tokenHeader},
				"cookie": dict{"type": "apiKey", "in": "cookie", "name": tokenCookie},
				"basic":  dict{"type": "http", "scheme": "basic"},
			},
		},
		"security": []dict{{"token": []string{}}, {"cookie": []string{}}, {"basic": []string{}}},
	}
}

func inJSON(schema dict) dict { return dict{"application/json": dict{"schema": schema}} }

// operation describes one route.
func operation(s *schemas, r route, verb, path string) dict {
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	op := dict{"summary": r.summary, "tags": []string{tag}, "operationId": operationID(verb, path)}
	if r.public {
		op["security"] = []dict{}
	}
	seen := r.rehearse()
	if p := parameters(path, seen); len(p) > 0 {
		op["parameters"] = p
	}
	responses := dict{
		"200": dict{"description": "Done."},
		"4XX": dict{"$ref": "#/components/responses/Refused"},
		"5XX": dict{"$ref": "#/components/responses/Failed"},
	}
	if verb != http.MethodHead {
		responses["200"] = dict{"description": "Done.", "content": s.content(r.answers)}
		responses["303"] = dict{"$ref": "#/components/responses/StoredFile"}
	}
	if seen.body != nil {
		op["requestBody"] = dict{"content": requestContent(seen.body)}
		responses["413"] = dict{"$ref": "#/components/responses/TooLarge"}
	}
	op["responses"] = responses
	return op
}

// operationID is like getUsersIdInstitute.
func operationID(verb, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(verb))
	for _, word := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/{}-.", r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// content is what a 200 holds.
func (s *schemas) content(answers any) dict {
	if media, ok := answers.(file); ok {
		return dict{string(media): dict{}}
	}
	if several, ok := answers.(either); ok {
		var all []dict
		for _, one := range several {
			all = append(all, s.of(one))
		}
		return inJSON(dict{"anyOf": all})
	}
	return inJSON(s.of(answers))
}

func parameters(path string, seen *reads) []dict {
	var all []dict
	for _, name := range wildcards(path) {
		schema := dict{"type": "string"}
		if name == "id" || name == "grant" || name == "tier" || strings.HasSuffix(name, "Id") {
			schema = dict{"type": "integer", "minimum": 0}
		}
		all = append(all, dict{"name": name, "in": "path", "required": true, "schema": schema})
	}
	names := make([]string, 0, len(seen.query))
	for name := range seen.query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, dict{"name": name, "in": "query", "schema": ofKind(seen.query[name])})
	}
	return all
}

func requestContent(body *shape) dict {
	switch body.kind {
	case aFile:
		part := dict{"type": "object", "required": []string{"file"}, "properties": dict{"file": dict{"type": "string", "format": "binary"}}}
		return dict{"multipart/form-data": dict{"schema": part}}
	case aList:
		if list := body.members["body"]; list != nil {
			return inJSON(list.schema())
		}
	}
	return inJSON(body.schema())
}

// schema describes what is read of a JSON value.
func (m *shape) schema() dict {
	switch m.kind {
	case anObject:
		if len(m.members) == 0 {
			return dict{"type": "object"}
		}
		members := dict{}
		for name, member := range m.members {
			members[name] = member.schema()
		}
		return dict{"type": "object", "properties": members}
	case aList:
		if m.item == nil {
			return dict{"type": "array"}
		}
		for above := m.within; above != nil; above = above.within {
			if above == m.item {
				return dict{"type": "array", "description": "Objects like the one around it.", "items": dict{"type": "object"}}
			}
		}
		return dict{"type": "array", "items": m.item.schema()}
	}
	return ofKind(m.kind)
}

func ofKind(kind string) dict {
	switch kind {
	case aNumber:
		return dict{"type": "integer"}
	case aNumbers:
		return dict{"type": "array", "items": dict{"type": "integer"}}
	case aList:
		return dict{"type": "array", "items": dict{"type": "string"}}
	case aDecimal:
		return dict{"type": "number"}
	case aFlag:
		return dict{"type": "boolean"}
	case aDate:
		return dict{"type": []string{"integer", "string"}, "description": "A date."}
	case aMap:
		return dict{"type": "object", "additionalProperties": dict{"type": "string"}}
	case aText:
		return dict{"type": "string"}
	}
	return dict{}
}
