package local

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

const root = "../.."

var testNames = names{prefix: "aliquot", region: region, queueURL: "http://127.0.0.1:1"}

func mustReadTemplate(t *testing.T) *Template {
	t.Helper()
	tmpl, err := readTemplate(root, nil, testNames)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestStrictReadRefusesFaults(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new, want string }{
		{"unknown property of a function", "MemorySize: 512", "MemorySise: 512", "Resources.ApiFunction.Properties.MemorySise: is not known"},
		{"unknown property of a table", "BillingMode: PAY", "BilingMode: PAY", "Properties.BilingMode: is not known"},
		{"unknown property of a bucket", "BlockPublicAcls:", "BlockPublicAcl:", "PublicAccessBlockConfiguration.BlockPublicAcl: is not known"},
		{"unknown property of a queue", "SqsManagedSseEnabled: true", "SqsManagedSse: true", "Properties.SqsManagedSse: is not known"},
		{"unknown property of a rule", "DeadLetterConfig:", "DeadLetters:", "Targets[0].DeadLetters: is not known"},
		{"unknown resource type", "AWS::IAM::Role", "AWS::IAM::Rule", `Type: "AWS::IAM::Rule" is not known`},
		{"unknown section", "Outputs:", "Output:", "Output: is not known"},
		{"unknown attribute of a resource", "UpdateReplacePolicy:", "UpdateReplacePolice:", "UpdateReplacePolice: is not known"},
		{"unknown intrinsic function", "!GetAtt IntakeBucket.Arn", "!GetAttr IntakeBucket.Arn", "!GetAttr is not known here"},
		{"dangling !Ref", "!Ref RecordsTable", "!Ref RecordTable", "ALIQUOT_RECORDS_TABLE: !Ref RecordTable: there is no such parameter or resource"},
		{"dangling !GetAtt", "!GetAtt ImportQueue.Arn", "!GetAtt Queue.Arn", "!GetAtt Queue.Arn: there is no such resource or attribute"},
		{"attribute that the type has not", "!GetAtt ImportDeadLetters.QueueName", "!GetAtt ImportDeadLetters.Name", "!GetAtt ImportDeadLetters.Name"},
		{"dangling !Sub", "${ResultsBucket.Arn}/jobs/*", "${ResultBucket.Arn}/jobs/*", "!Sub ${ResultBucket.Arn}"},
		{"dangling reference in a branch not taken", "!Ref DropWriterArn\n              Action", "!Ref DropWriter\n              Action", "!Ref DropWriter"},
		{"dangling condition", "- HasDropWriter", "- HasDropper", `there is no condition "HasDropper"`},
		{"dangling reference in an output", "Value: !Ref JobsTable", "Value: !Ref Jobs", "Outputs.JobsTableName.Value: !Ref Jobs"},
		{"rate of zero", "rate(1 minute)", "rate(0 minutes)", `"rate(0 minutes)" is not a rate`},
		{"rate in the wrong number", "rate(1 minute)", "rate(1 minutes)", "is not a rate"},
		{"rate in seconds", "rate(1 minute)", "rate(30 seconds)", "is not a rate"},
		{"cron", "rate(1 minute)", "cron(0 * * * ? *)", "is not a rate"},
		{"timeout over 900", "Timeout: 900", "Timeout: 901", "Timeout: 901 is not between 1 and 900"},
		{"timeout that is no number", "Timeout: 900", "Timeout: 15m", `Timeout: "15m" is not a whole number`},
		{"memory under 128", "MemorySize: 256", "MemorySize: 64", "MemorySize: 64 is not between 128 and 10240"},
		{"queue that shows a message before the function ends", "VisibilityTimeout: 960", "VisibilityTimeout: 600", "is less than the function's timeout"},
		{"dead letters for too few receives", "maxReceiveCount: 20", "maxReceiveCount: 0", "maxReceiveCount: 0 is not between 1 and 1000"},
		{"batch of eleven", "BatchSize: 1", "BatchSize: 11", "BatchSize: 11 is not between 1 and 10"},
		{"unknown event type", "Type: Schedule", "Type: Timer", `event type "Timer" is not known`},
		{"unknown method", "Method: ANY", "Method: ALL", "is not a route"},
		{"unknown filter", "anything-but:", "anything-except:", "filter anything-except is not known"},
		{"key without definition", "AttributeName: sk\n          KeyType: RANGE", "AttributeName: rk\n          KeyType: RANGE", "KeySchema[1]: is not in AttributeDefinitions"},
		{"billing by provision", "BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED", "BillingMode: wants PAY_PER_REQUEST"},
		{"queue that the role may not read", "- sqs:ReceiveMessage\n", "- sqs:PurgeQueue\n", "does not allow sqs:ReceiveMessage"},
		{"reserved variable", "ALIQUOT_CHUNK_ROWS:", "AWS_CHUNK_ROWS:", "the prefix AWS_ is reserved"},
		{"key given twice", "    Type: AWS::Serverless::HttpApi\n", "    Type: AWS::Serverless::HttpApi\n    Type: AWS::Serverless::HttpApi\n", "Type is given twice"},
		{"default out of range", "Default: 60\n    MinValue: 2", "Default: 1\n    MinValue: 2", "Parameters.LeaseSeconds: 1 is less than 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !bytes.Contains(text, []byte(test.old)) {
				t.Fatalf("the template does not hold %q", test.old)
			}
			_, err := parseTemplate([]byte(strings.Replace(string(text), test.old, test.new, 1)), nil, testNames)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("answered %v, want %q", err, test.want)
			}
		})
	}
	if _, err := parseTemplate(text, nil, testNames); err != nil {
		t.Errorf("the template itself: %v", err)
	}
}

func TestParametersAreReplacedAndChecked(t *testing.T) {
	tmpl, err := readTemplate(root, map[string]string{"LeaseSeconds": "7"}, testNames)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tmpl.Functions {
		if got, ok := f.Environment.Variables["ALIQUOT_LEASE_SECONDS"]; ok && got != "7" {
			t.Errorf("%s has a lease of %s", f.Name, got)
		}
	}
	for _, params := range []map[string]string{{"LeaseSeconds": "x"}, {"LeaseSeconds": "901"}, {"Lease": "7"}} {
		if _, err := readTemplate(root, params, testNames); err == nil {
			t.Errorf("%v is taken", params)
		}
	}
}

func TestEveryFunctionHasItsFolders(t *testing.T) {
	var inTemplate []string
	for _, f := range mustReadTemplate(t).Functions {
		inTemplate = append(inTemplate, f.Name)
	}
	for _, dir := range []string{"functions", "events"} {
		var folders []string
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				folders = append(folders, e.Name())
			}
		}
		if diff := cmp.Diff(inTemplate, folders); diff != "" {
			t.Errorf("%s/ (-template +folders):\n%s", dir, diff)
		}
	}
}

// setting matches the name of a setting in a struct tag or a string.
var setting = regexp.MustCompile(`\bALIQUOT_[A-Z0-9_]+`)

// TestEverySettingIsGivenAndRead holds the template's variables against the code that a function is made of.
func TestEverySettingIsGivenAndRead(t *testing.T) {
	read := map[string]bool{}
	given := map[string]bool{}
	for _, f := range mustReadTemplate(t).Functions {
		own := settingsOf(t, "./functions/"+f.Name)
		maps.Copy(read, own)
		for name := range f.Environment.Variables {
			given[name] = true
			if !own[name] && name != "GOMEMLIMIT" && name != "GOGC" { // which Go's runtime reads
				t.Errorf("%s is given %s, which its code does not read", f.ID, name)
			}
		}
	}
	for name := range read {
		if !given[name] {
			t.Errorf("%s is read, and no function is given it", name)
		}
	}
}

// settingsOf finds the settings that a package, and what it imports of this module, names outside of comments.
func settingsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{$d := .Dir}}{{range .GoFiles}}{{$.ImportPath}} {{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`, pkg)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(path, "aliquot/") {
			continue
		}
		fset := token.NewFileSet()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(fset, file, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range parsed.Comments {
			from, to := fset.Position(group.Pos()).Offset, fset.Position(group.End()).Offset
			copy(text[from:to], bytes.Repeat([]byte(" "), to-from))
		}
		for _, name := range setting.FindAll(text, -1) {
			names[string(name)] = true
		}
	}
	return names
}

// roles returns the statements of the template's roles by logical id.
func roles(t *testing.T, tmpl *Template) map[string]role {
	t.Helper()
	all := map[string]role{}
	for id, r := range tmpl.Resources {
		if r.Type == "AWS::IAM::Role" {
			rights, err := tmpl.readRole(id)
			if err != nil {
				t.Fatal(err)
			}
			all[id] = rights
		}
	}
	return all
}

func TestRolesAreNarrow(t *testing.T) {
	tmpl := mustReadTemplate(t)
	all := roles(t, tmpl)
	users := map[string]string{}
	for _, f := range tmpl.Functions {
		id := f.Role[strings.LastIndex(f.Role, "/aliquot-")+len("/aliquot-"):]
		if all[id] == nil {
			t.Errorf("%s has no role of this template", f.ID)
		}
		if other := users[id]; other != "" {
			t.Errorf("%s and %s share a role", f.ID, other)
		}
		users[id] = f.ID
	}
	ours := regexp.MustCompile(`^arn:aws:[a-z0-9]+:[a-z0-9-]*:[0-9]*:.*aliquot-`)
	for id, statements := range all {
		if users[id] == "" {
			t.Errorf("%s is the role of no function", id)
		}
		for _, s := range statements {
			if len(s.Action) == 0 || len(s.Resource) == 0 {
				t.Errorf("%s: statement %s does not allow actions on resources", id, s.Sid)
			}
			for _, a := range s.Action {
				if strings.Contains(a, "*") {
					t.Errorf("%s: statement %s allows %s", id, s.Sid, a)
				}
			}
			for _, r := range s.Resource {
				if !ours.MatchString(r) {
					t.Errorf("%s: statement %s reaches %s", id, s.Sid, r)
				}
			}
		}
	}
}

func TestAuditTableIsInsertedIntoAndQueriedOnly(t *testing.T) {
	tmpl := mustReadTemplate(t)
	arn := testNames.arn("AWS::DynamoDB::Table", "AuditTable")
	for id, statements := range roles(t, tmpl) {
		for _, s := range statements {
			if !slices.ContainsFunc(s.Resource, func(r string) bool { return strings.HasPrefix(r, arn) }) {
				continue
			}
			for _, a := range s.Action {
				if a != "dynamodb:PartiQLInsert" && a != "dynamodb:Query" {
					t.Errorf("%s may %s on the audit table", id, a)
				}
			}
		}
	}
}

func TestWhatHoldsDataIsKeptAndProtected(t *testing.T) {
	tmpl := mustReadTemplate(t)
	policies := map[string]bool{}
	for _, r := range tmpl.Resources {
		if r.Type == "AWS::S3::BucketPolicy" {
			text, err := json.Marshal(r.Properties)
			if err != nil {
				t.Fatal(err)
			}
			policies[r.Properties["Bucket"].(string)] = strings.Contains(string(text), `"Bool":{"aws:SecureTransport":"false"}`)
		}
	}
	for _, b := range tmpl.Buckets {
		access := b.PublicAccessBlockConfiguration
		if !access.BlockPublicAcls || !access.BlockPublicPolicy || !access.IgnorePublicAcls || !access.RestrictPublicBuckets {
			t.Errorf("%s is not private", b.ID)
		}
		if len(b.BucketEncryption.ServerSideEncryptionConfiguration) == 0 || b.VersioningConfiguration.Status != "Enabled" {
			t.Errorf("%s is not encrypted or has no versions", b.ID)
		}
		if !policies[b.Name] {
			t.Errorf("%s may be used without TLS", b.ID)
		}
	}
	for _, table := range tmpl.Tables {
		if !table.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled || !table.SSESpecification.SSEEnabled {
			t.Errorf("%s is not recoverable or not encrypted", table.ID)
		}
	}
	for id, r := range tmpl.Resources {
		if r.Type == "AWS::DynamoDB::Table" || r.Type == "AWS::S3::Bucket" {
			if r.DeletionPolicy != "Retain" || r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s goes with its stack", id)
			}
		}
	}
}

func TestEveryFunctionKeepsItsLogsForATimeAndHasAnAlarm(t *testing.T) {
	tmpl := mustReadTemplate(t)
	watched := map[string]bool{}
	for _, r := range tmpl.Resources {
		if r.Type == "AWS::CloudWatch::Alarm" {
			text, err := json.Marshal(r.Properties)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tmpl.Functions {
				if strings.Contains(string(text), `"Value":"`+testNames.physical("AWS::Serverless::Function", f.ID)+`"`) {
					watched[f.ID] = true
				}
			}
		}
	}
	for _, f := range tmpl.Functions {
		id := strings.TrimPrefix(f.LoggingConfig.LogGroup, "aliquot-")
		if group, ok := tmpl.Resources[id]; !ok || group.Properties["RetentionInDays"] == nil {
			t.Errorf("%s has no log group with a retention", f.ID)
		}
		if !watched[f.ID] {
			t.Errorf("no alarm watches %s", f.ID)
		}
	}
}

func TestMakefileAsksForOutputsThatAreThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`\(output (\w+)\)`).FindAllSubmatch(text, -1)
	if len(asked) == 0 {
		t.Fatal("the Makefile asks for no output")
	}
	outputs := mustReadTemplate(t).Outputs
	for _, m := range asked {
		if outputs[string(m[1])] == "" {
			t.Errorf("there is no output %s", m[1])
		}
	}
}

// TestEventsAreWhatTheirServicesSend reads every sample strictly as the type of its service, and holds its names against
// those of the stack that sends it.
func TestEventsAreWhatTheirServicesSend(t *testing.T) {
	strictly := func(t *testing.T, text []byte, into any) {
		t.Helper()
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			t.Error(err)
		}
	}
	request := func(t *testing.T, text []byte) {
		var e events.APIGatewayV2HTTPRequest
		strictly(t, text, &e)
		if e.Version != "2.0" || e.RawPath != e.RequestContext.HTTP.Path || !strings.HasSuffix(e.RawPath, e.PathParameters["proxy"]) {
			t.Errorf("not a request of format 2.0: %+v", e)
		}
	}
	messages := func(queue string) func(*testing.T, []byte) {
		return func(t *testing.T, text []byte) {
			var e events.SQSEvent
			strictly(t, text, &e)
			if len(e.Records) == 0 {
				t.Fatal("no record")
			}
			for _, m := range e.Records {
				if m.Md5OfBody != md5Hex(m.Body) {
					t.Errorf("message %s does not have its sum", m.MessageId)
				}
				if want := testNames.arn("AWS::SQS::Queue", queue); m.EventSourceARN != want {
					t.Errorf("queue %s, want %s", m.EventSourceARN, want)
				}
				var body struct {
					Detail struct{ Bucket struct{ Name string } }
				}
				if json.Unmarshal([]byte(m.Body), &body) == nil && body.Detail.Bucket.Name != "" && body.Detail.Bucket.Name != "aliquot-intakebucket" {
					t.Errorf("bucket %s", body.Detail.Bucket.Name)
				}
			}
		}
	}
	kinds := map[string]func(*testing.T, []byte){
		"api":          request,
		"clinicaldata": request,
		"sweep": func(t *testing.T, text []byte) {
			var e events.EventBridgeEvent
			strictly(t, text, &e)
			if e.Source != "aws.events" {
				t.Errorf("source %s", e.Source)
			}
		},
		"csvimport": messages("ImportQueue"),
		"odmimport": messages("OdmQueue"),
	}
	readme, err := os.ReadFile(filepath.Join(root, "events", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "events", "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no events", err)
	}
	for _, file := range files {
		function := filepath.Base(filepath.Dir(file))
		t.Run(function+"/"+filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if kinds[function] == nil {
				t.Fatalf("there is no kind of event for %s", function)
			}
			kinds[function](t, text)
			if !bytes.Contains(readme, []byte("`"+function+"/"+filepath.Base(file)+"`")) {
				t.Error("events/README.md does not name it")
			}
		})
	}
}

func TestEventPatterns(t *testing.T) {
	event := map[string]any{"source": "aws.s3", "detail": map[string]any{"key": "_uploads/a.csv", "size": "7"}}
	tests := []struct {
		name, pattern string
		want          bool
	}{
		{"one of several", `{"source":["aws.ec2","aws.s3"]}`, true},
		{"none of several", `{"source":["aws.ec2"]}`, false},
		{"every field must hold", `{"source":["aws.s3"],"detail":{"key":["other"]}}`, false},
		{"a prefix", `{"detail":{"key":[{"prefix":"_uploads/"}]}}`, true},
		{"a suffix", `{"detail":{"key":[{"suffix":".zip"},{"suffix":".csv"}]}}`, true},
		{"anything but a prefix", `{"detail":{"key":[{"anything-but":{"prefix":"_uploads/"}}]}}`, false},
		{"anything but another prefix", `{"detail":{"key":[{"anything-but":{"prefix":"x/"}}]}}`, true},
		{"anything but values", `{"detail":{"key":[{"anything-but":["x","_uploads/a.csv"]}]}}`, false},
		{"a wildcard", `{"detail":{"key":[{"wildcard":"*up*s/*.csv"}]}}`, true},
		{"another wildcard", `{"detail":{"key":[{"wildcard":"*/odm/*"}]}}`, false},
		{"a wildcard with more than there is", `{"detail":{"key":[{"wildcard":"_uploads/a*a.csv"}]}}`, false},
		{"anything but wildcards", `{"detail":{"key":[{"anything-but":{"wildcard":["*/odm/*","_up*"]}}]}}`, false},
		{"anything but other wildcards", `{"detail":{"key":[{"anything-but":{"wildcard":["*/odm/*","x*"]}}]}}`, true},
		{"a field that is not there", `{"detail":{"name":[{"anything-but":"x"}]}}`, false},
		{"a field that must not be there", `{"detail":{"name":[{"exists":false}]}}`, true},
		{"a level that is not there", `{"other":{"name":["x"]}}`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var pattern map[string]any
			if err := json.Unmarshal([]byte(test.pattern), &pattern); err != nil {
				t.Fatal(err)
			}
			if err := checkPattern(pattern, "EventPattern"); err != nil {
				t.Fatal(err)
			}
			if got := matches(pattern, event); got != test.want {
				t.Errorf("matches: %t", got)
			}
		})
	}
}

func TestRouteMatches(t *testing.T) {
	tests := []struct {
		route, method, path string
		want                map[string]string // nil: does not match
	}{
		{"ANY /rest/ng/{proxy+}", "GET", "/rest/ng/a/b", map[string]string{"proxy": "a/b"}},
		{"ANY /rest/ng/{proxy+}", "GET", "/rest/ng/", nil},
		{"ANY /rest/ng/{proxy+}", "GET", "/rest/ng", nil},
		{"ANY /rest/ng/{proxy+}", "GET", "/rest/other/a", nil},
		{"GET /users/{id}", "GET", "/users/7", map[string]string{"id": "7"}},
		{"GET /users/{id}", "GET", "/users/7/roles", nil},
		{"GET /users/{id}", "POST", "/users/7", nil},
		{"GET /users", "GET", "/users", map[string]string{}},
	}
	for _, test := range tests {
		method, path, _ := strings.Cut(test.route, " ")
		got, ok := Route{Method: method, Path: path}.match(test.method, test.path)
		if !ok {
			got = nil
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, %s %s (-want +got):\n%s", test.route, test.method, test.path, diff)
		}
	}
}
