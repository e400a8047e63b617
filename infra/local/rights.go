package local

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A function's requests to DynamoDB, S3 and SQS pass a guard that holds them against the function's role, since nothing
// else on this machine would miss a right that AWS asks for. Each function has guards of its own at addresses of its own:
// so a presigned URL, which has the rights of its signer, is held against the right role too.

// statement is one statement of a role's policy.
type statement struct {
	Sid       string
	Effect    string
	Action    texts
	Resource  texts
	Condition map[string]map[string]texts
}

// texts is a list that may be written as one text.
type texts []string

func readTexts(v any, path string) (texts, error) {
	if one, ok := v.(string); ok {
		return texts{one}, nil
	}
	var list []string
	err := decode(v, &list, path)
	return list, err
}

// role is what a role allows. Only what the template uses is known: statements that allow, with the condition StringLike
// on s3:prefix.
type role []statement

// readRole reads the inline policies of a role, which is known by the end of its ARN.
func (t *Template) readRole(id string) (role, error) {
	r, ok := t.Resources[id]
	if !ok || r.Type != "AWS::IAM::Role" {
		return nil, fmt.Errorf("there is no role %q", id)
	}
	var props struct {
		AssumeRolePolicyDocument any
		Description              string
		Policies                 []struct {
			PolicyName     string
			PolicyDocument struct {
				Version   string
				Statement []struct {
					Sid, Effect      string
					Action, Resource any
					Condition        map[string]map[string]any
				}
			}
		}
	}
	path := "Resources." + id + ".Properties"
	if err := decode(r.Properties, &props, path); err != nil {
		return nil, err
	}
	var all role
	for _, p := range props.Policies {
		for _, given := range p.PolicyDocument.Statement {
			at := path + ".Policies." + p.PolicyName + "." + given.Sid
			s := statement{Sid: given.Sid, Effect: given.Effect, Condition: map[string]map[string]texts{}}
			var err error
			if s.Action, err = readTexts(given.Action, at+".Action"); err != nil {
				return nil, err
			}
			if s.Resource, err = readTexts(given.Resource, at+".Resource"); err != nil {
				return nil, err
			}
			if s.Effect != "Allow" {
				return nil, fmt.Errorf("%s.Effect: only Allow is known", at)
			}
			for operator, keys := range given.Condition {
				s.Condition[operator] = map[string]texts{}
				for key, v := range keys {
					if operator != "StringLike" || key != "s3:prefix" {
						return nil, fmt.Errorf("%s.Condition: %s on %s is not known", at, operator, key)
					}
					if s.Condition[operator][key], err = readTexts(v, at+".Condition"); err != nil {
						return nil, err
					}
				}
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// need is a right that a request takes.
type need struct {
	action, resource string
	prefix           string // of a listing
}

// allows tells whether a statement of the role grants what is needed.
func (r role) allows(n need) bool {
	return slices.ContainsFunc(r, func(s statement) bool {
		like := func(text string) func(string) bool { return func(pattern string) bool { return glob(pattern, text) } }
		if !slices.ContainsFunc(s.Action, like(n.action)) || !slices.ContainsFunc(s.Resource, like(n.resource)) {
			return false
		}
		prefixes := s.Condition["StringLike"]["s3:prefix"]
		return prefixes == nil || slices.ContainsFunc(prefixes, like(n.prefix))
	})
}

// glob tells whether text matches a pattern in which * stands for any text.
func glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	for text = text[len(first):]; ; text = text[1:] {
		if glob(rest, text) {
			return true
		}
		if text == "" {
			return false
		}
	}
}

// guard passes the requests of one function to one service.
type guard struct {
	function string
	role     role
	service  guarded
	names    names
	proxy    *httputil.ReverseProxy
	warn     io.Writer
	faults   Faults
	passed   atomic.Int64 // requests so far
}

// Faults are what AWS does to requests and the services of this machine do not. A number n means every n-th request of a
// function to a service, 0 none.
type Faults struct {
	// Throttle refuses the request, as a service does that has too many.
	Throttle int
	// Lose carries the request out and cuts the connection before the answer, so that the function cannot know.
	Lose int
}

// guarded is what differs between services.
type guarded struct {
	// needs reads which rights a request takes. The body that it reads stays in the request.
	needs func(r *http.Request, n names) ([]need, error)
	// deny answers a request without the right.
	deny func(w http.ResponseWriter, r *http.Request, text string)
	// throttle answers a request of which there are too many.
	throttle func(w http.ResponseWriter)
	// hide, if any, changes an answer that tells more than the role may know.
	hide func(res *http.Response, r role) error
}

// startGuard starts a guard in front of the service at target and returns the server and its address.
func startGuard(f *Function, r role, service guarded, target string, n names, opts Options) (*http.Server, string, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	g := &guard{function: f.Name, role: r, service: service, names: n, warn: opts.Warn, faults: opts.Faults}
	g.proxy = &httputil.ReverseProxy{
		// The host stays as it is, because the request's signature covers it.
		Rewrite: func(p *httputil.ProxyRequest) {
			host := p.In.Host
			p.SetURL(to)
			p.Out.Host = host
		},
		Transport:    &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     log.New(io.Discard, "", 0), // a function that ends in the middle of an answer is no news
	}
	if service.hide != nil {
		g.proxy.ModifyResponse = func(res *http.Response) error { return service.hide(res, r) }
	}
	server := &http.Server{Handler: g, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = server.Serve(l) }() // it ends by Close
	return server, "http://" + l.Addr().String(), nil
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	needs, err := g.service.needs(r, g.names)
	if err != nil {
		g.refuse(w, r, err.Error())
		return
	}
	for _, n := range needs {
		if !g.role.allows(n) {
			g.refuse(w, r, fmt.Sprintf("the role of %s does not allow %s on %s", g.function, n.action, n.resource))
			return
		}
	}
	passed := g.passed.Add(1)
	due := func(every int) bool { return every > 0 && passed%int64(every) == 0 }
	switch {
	case due(g.faults.Throttle):
		g.service.throttle(w)
	case due(g.faults.Lose):
		g.proxy.ServeHTTP(nowhere{}, r)
		panic(http.ErrAbortHandler)
	default:
		g.proxy.ServeHTTP(w, r)
	}
}

// nowhere takes an answer that is lost.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

func (g *guard) refuse(w http.ResponseWriter, r *http.Request, text string) {
	fmt.Fprintf(g.warn, "%s: %s\n", g.function, text)
	g.service.deny(w, r, text)
}

// readBody reads a request's body and puts it back.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

func denyJSON(w http.ResponseWriter, _ *http.Request, text string) {
	answerJSON(w, "com.amazon.coral.service#AccessDeniedException", text)
}

// answerJSON answers with a fault of a service that speaks AWS JSON 1.0.
func answerJSON(w http.ResponseWriter, code, text string) {
	answer := fmt.Appendf(nil, `{"__type":%q,"Message":%q,"message":%[2]q}`, code, text)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(answer)), 10)) // clients of DynamoDB check it
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(answer) // the function has gone if this fails
}

// ---- DynamoDB

var guardedDynamoDB = guarded{needs: dynamodbNeeds, deny: denyJSON, throttle: func(w http.ResponseWriter) {
	answerJSON(w, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "too many requests")
}}

// dynamodbRequest is where the requests of DynamoDB name their tables.
type dynamodbRequest struct {
	TableName     string
	RequestItems  map[string]json.RawMessage
	TransactItems []map[string]struct{ TableName string }
	Statement     string
	Statements    []struct{ Statement string }

	TransactStatements []struct{ Statement string }
}

func dynamodbNeeds(r *http.Request, n names) ([]need, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in dynamodbRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	var needs []need
	add := func(action, table string) {
		n := need{action: "dynamodb:" + action, resource: fmt.Sprintf("arn:%s:dynamodb:%s:%s:table/%s", partition, n.region, account, table)}
		if !slices.Contains(needs, n) {
			needs = append(needs, n)
		}
	}
	if in.TableName != "" {
		add(operation, in.TableName)
	}
	for table := range in.RequestItems {
		add(operation, table)
	}
	for _, item := range in.TransactItems {
		for kind, of := range item {
			add(kind+"Item", of.TableName) // PutItem for Put, ConditionCheckItem for ConditionCheck
		}
	}
	statements := append(in.Statements, in.TransactStatements...)
	if in.Statement != "" {
		statements = append(statements, struct{ Statement string }{in.Statement})
	}
	for _, s := range statements {
		action, table, err := partiQL(s.Statement)
		if err != nil {
			return nil, err
		}
		add(action, table)
	}
	if len(needs) == 0 {
		return nil, fmt.Errorf("%s is not known to the local stack's guard", operation)
	}
	return needs, nil
}

// partiQL reads the action and the table of a statement.
func partiQL(text string) (action, table string, err error) {
	words := strings.Fields(text)
	find := func(before string) string {
		i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, before) })
		if i < 0 || i+1 >= len(words) {
			return ""
		}
		name, _, _ := strings.Cut(strings.Trim(words[i+1], `"`), `"`)
		return name
	}
	if len(words) > 0 {
		switch strings.ToUpper(words[0]) {
		case "INSERT":
			return "PartiQLInsert", find("INTO"), nil
		case "SELECT", "EXISTS", "EXISTS(SELECT":
			return "PartiQLSelect", find("FROM"), nil
		case "UPDATE":
			return "PartiQLUpdate", find("UPDATE"), nil
		case "DELETE":
			return "PartiQLDelete", find("FROM"), nil
		}
	}
	return "", "", fmt.Errorf("the statement is not known to the local stack's guard")
}

// ---- SQS

var guardedSQS = guarded{needs: sqsNeeds, deny: denyJSON, throttle: func(w http.ResponseWriter) {
	answerJSON(w, "com.amazonaws.sqs#RequestThrottled", "too many requests")
}}

func sqsNeeds(r *http.Request, n names) ([]need, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in struct{ QueueUrl string } //nolint:revive // the member's name
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	// A batch takes the right of its operation.
	action := "sqs:" + strings.TrimSuffix(operation, "Batch")
	name := in.QueueUrl[strings.LastIndexByte(in.QueueUrl, '/')+1:]
	return []need{{action: action, resource: fmt.Sprintf("arn:%s:sqs:%s:%s:%s", partition, n.region, account, name)}}, nil
}

// ---- S3

var guardedS3 = guarded{needs: s3Needs, deny: denyXML, hide: hideMissing, throttle: func(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(faultXML("SlowDown", "too many requests")) // the function has gone if this fails
}}

// hideMissing makes 403 of the 404 of an object in a bucket that the role may not list, as S3 does. A right to list a
// prefix does not count.
func hideMissing(res *http.Response, r role) error {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(res.Request.URL.Path, "/"), "/")
	listing := need{action: "s3:ListBucket", resource: "arn:" + partition + ":s3:::" + bucket}
	if res.StatusCode != http.StatusNotFound || key == "" || r.allows(listing) {
		return nil
	}
	body := faultXML("AccessDenied", "the role may not know whether the object is there")
	if res.Request.Method == http.MethodHead {
		body = nil
	}
	err := res.Body.Close()
	res.StatusCode, res.Status = http.StatusForbidden, "403 Forbidden"
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return err
}

func denyXML(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	if r.Method != http.MethodHead {
		_, _ = w.Write(faultXML("AccessDenied", text)) // the function has gone if this fails
	}
}

func faultXML(code, text string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Error><Code>" + code + "</Code><Message>")
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	b.WriteString("</Message></Error>")
	return b.Bytes()
}

func s3Needs(r *http.Request, _ names) ([]need, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	action := s3BucketAction(r.Method, q)
	n := need{resource: "arn:" + partition + ":s3:::" + bucket, prefix: q.Get("prefix")}
	if key != "" {
		action = s3ObjectAction(r.Method, q)
		n.resource += "/" + key
	}
	if action == "" {
		return nil, fmt.Errorf("%s %s with %v is not known to the local stack's guard", r.Method, bucket, slices.Sorted(maps.Keys(q)))
	}
	n.action = "s3:" + action
	needs := []need{n}
	if source := r.Header.Get("X-Amz-Copy-Source"); source != "" {
		from, err := url.PathUnescape(strings.TrimPrefix(source, "/"))
		if err != nil {
			return nil, err
		}
		from, version, _ := strings.Cut(from, "?versionId=")
		read := "s3:GetObject"
		if version != "" {
			read = "s3:GetObjectVersion"
		}
		needs = append(needs, need{action: read, resource: "arn:" + partition + ":s3:::" + from})
	}
	return needs, nil
}

func s3BucketAction(method string, q url.Values) string {
	switch {
	case method == http.MethodGet && q.Has("uploads"):
		return "ListBucketMultipartUploads"
	case method == http.MethodGet && q.Has("versions"):
		return "ListBucketVersions"
	case method == http.MethodGet && (q.Has("list-type") || len(q) == 0), method == http.MethodHead:
		return "ListBucket"
	}
	return ""
}

func s3ObjectAction(method string, q url.Values) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		switch {
		case q.Has("uploadId"):
			return "ListMultipartUploadParts"
		case q.Has("versionId"):
			return "GetObjectVersion"
		}
		return "GetObject"
	case http.MethodPut:
		return "PutObject"
	case http.MethodPost:
		if q.Has("uploads") || q.Has("uploadId") {
			return "PutObject"
		}
	case http.MethodDelete:
		switch {
		case q.Has("uploadId"):
			return "AbortMultipartUpload"
		case q.Has("versionId"):
			return "DeleteObjectVersion"
		}
		return "DeleteObject"
	}
	return ""
}
