package local

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The account and partition of every local stack; SQS and S3 clients show them in ARNs and queue addresses.
const (
	account   = "000000000000"
	partition = "aws"
)

// Template is a resolved template: parameters, references and conditions are replaced by what they stand for in one
// stack. Lists are in the order of the logical ids.
type Template struct {
	Functions []*Function
	Tables    []*Table
	Buckets   []*Bucket
	Queues    []*Queue
	Rules     []*Rule
	// Resources holds every resource by logical id, those that have no part in a local stack included.
	Resources map[string]Resource
	// Outputs are the values of the outputs.
	Outputs map[string]string
}

// Resource is one resource as written, resolved.
type Resource struct {
	Type           string
	Properties     map[string]any
	Metadata       map[string]any
	DependsOn      any
	Condition      string
	DeletionPolicy string

	UpdateReplacePolicy string
}

// Function is an AWS::Serverless::Function. Name is its folder in functions/: csvimport for CsvImportFunction.
type Function struct {
	ID   string `template:"-"`
	Name string `template:"-"`

	Description       string
	CodeUri           string //nolint:revive // the property's name
	Role              string
	Runtime           string
	Handler           string
	Architectures     []string
	Timeout           int
	MemorySize        int
	RecursiveLoop     string
	LoggingConfig     struct{ LogGroup string }
	EventInvokeConfig struct {
		MaximumRetryAttempts     *int
		MaximumEventAgeInSeconds *int
	}
	ReservedConcurrentExecutions *int
	Environment                  struct{ Variables map[string]string }
	Events                       map[string]any

	Routes    []Route         `template:"-"`
	Sources   []Source        `template:"-"`
	Schedules []time.Duration `template:"-"`
}

// Route is an event of type HttpApi: the HTTP API's requests of that method and path go to the function.
type Route struct {
	ApiId                string //nolint:revive // the property's name
	Path                 string
	Method               string
	PayloadFormatVersion string
	TimeoutInMillis      int
}

// Source is an event of type SQS: messages of the queue go to the function.
type Source struct {
	Queue                          string // ARN
	BatchSize                      int
	MaximumBatchingWindowInSeconds int
	Enabled                        *bool
	FunctionResponseTypes          []string
	ScalingConfig                  struct{ MaximumConcurrency int }
}

// Table is an AWS::DynamoDB::Table. Its properties are those of CreateTable and of the calls that complete it.
type Table struct {
	ID   string `template:"-"`
	Name string `template:"-"`

	TableName                        string
	BillingMode                      types.BillingMode
	AttributeDefinitions             []types.AttributeDefinition
	KeySchema                        []types.KeySchemaElement
	PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
	SSESpecification                 struct{ SSEEnabled bool }
	DeletionProtectionEnabled        bool
	TimeToLiveSpecification          struct {
		AttributeName string
		Enabled       bool
	}
}

// Bucket is an AWS::S3::Bucket. Encryption, access blocks and lifecycle are the cloud's alone; of the rest the local
// stack does versioning and events.
type Bucket struct {
	ID   string `template:"-"`
	Name string `template:"-"`

	BucketName                     string
	PublicAccessBlockConfiguration struct {
		BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets bool
	}
	OwnershipControls struct {
		Rules []struct{ ObjectOwnership string }
	}
	BucketEncryption struct {
		ServerSideEncryptionConfiguration []struct {
			ServerSideEncryptionByDefault struct{ SSEAlgorithm string }
		}
	}
	VersioningConfiguration   struct{ Status string }
	NotificationConfiguration struct {
		EventBridgeConfiguration struct{ EventBridgeEnabled bool }
	}
	LifecycleConfiguration struct {
		Rules []struct {
			Id                             string //nolint:revive // the property's name
			Status                         string
			Prefix                         string
			ExpirationInDays               int
			AbortIncompleteMultipartUpload struct{ DaysAfterInitiation int }
			NoncurrentVersionExpiration    struct{ NoncurrentDays int }
		}
	}
}

// Queue is an AWS::SQS::Queue. Times are in seconds, as in the template.
type Queue struct {
	ID   string `template:"-"`
	Name string `template:"-"`

	QueueName              string
	VisibilityTimeout      int
	DelaySeconds           int
	MessageRetentionPeriod int
	SqsManagedSseEnabled   bool
	RedrivePolicy          struct {
		DeadLetterTargetArn string `template:"deadLetterTargetArn"`
		MaxReceiveCount     int    `template:"maxReceiveCount"`
	}
}

// Rule is an AWS::Events::Rule that sends the events of a pattern to queues.
type Rule struct {
	ID string `template:"-"`

	Name         string
	Description  string
	State        string
	EventPattern map[string]any
	Targets      []struct {
		Id               string //nolint:revive // the property's name
		Arn              string
		DeadLetterConfig struct{ Arn string }
	}
}

// attributes lists, for every resource type that a template may hold, what !GetAtt may ask of it.
var attributes = map[string][]string{
	"AWS::Serverless::Function": {"Arn"},
	"AWS::Serverless::HttpApi":  {},
	"AWS::DynamoDB::Table":      {"Arn"},
	"AWS::S3::Bucket":           {"Arn"},
	"AWS::S3::BucketPolicy":     {},
	"AWS::SQS::Queue":           {"Arn", "QueueName", "QueueUrl"},
	"AWS::SQS::QueuePolicy":     {},
	"AWS::Events::Rule":         {"Arn"},
	"AWS::IAM::Role":            {"Arn", "RoleId"},
	"AWS::Logs::LogGroup":       {"Arn"},
	"AWS::Logs::MetricFilter":   {},
	"AWS::CloudWatch::Alarm":    {"Arn"},
}

// names says what a stack calls its resources.
type names struct {
	prefix   string // of every physical name
	region   string
	queueURL string // address of the SQS stand-in
}

func (n names) physical(typ, id string) string {
	name := n.prefix + "-" + id
	if typ == "AWS::S3::Bucket" {
		return strings.ToLower(name)
	}
	return name
}

func (n names) ref(typ, id string) string {
	if typ == "AWS::SQS::Queue" {
		return n.queueURL + "/" + account + "/" + n.physical(typ, id)
	}
	return n.physical(typ, id)
}

func (n names) arn(typ, id string) string {
	name := n.physical(typ, id)
	switch typ {
	case "AWS::S3::Bucket":
		return "arn:" + partition + ":s3:::" + name
	case "AWS::IAM::Role":
		return "arn:" + partition + ":iam::" + account + ":role/" + name
	}
	service, kind := "", ""
	switch typ {
	case "AWS::Serverless::Function":
		service, kind = "lambda", "function:"
	case "AWS::DynamoDB::Table":
		service, kind = "dynamodb", "table/"
	case "AWS::SQS::Queue":
		service = "sqs"
	case "AWS::Events::Rule":
		service, kind = "events", "rule/"
	case "AWS::Logs::LogGroup":
		service, kind = "logs", "log-group:"
	case "AWS::CloudWatch::Alarm":
		service, kind = "cloudwatch", "alarm:"
	}
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s%s", partition, service, n.region, account, kind, name)
}

// readTemplate reads and checks root/template.yaml for a stack of the given names. params replaces defaults of the
// template's parameters.
func readTemplate(root string, params map[string]string, n names) (*Template, error) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	t, err := parseTemplate(text, params, n)
	if err != nil {
		return nil, fmt.Errorf("template.yaml: %w", err)
	}
	return t, nil
}

// checkFolders fails for a function without a folder below root/functions.
func (t *Template) checkFolders(root string) error {
	for _, f := range t.Functions {
		if _, err := os.Stat(filepath.Join(root, "functions", f.Name, "main.go")); err != nil {
			return fmt.Errorf("template.yaml: Resources.%s: there is no functions/%s/main.go", f.ID, f.Name)
		}
	}
	return nil
}

func parseTemplate(text []byte, params map[string]string, n names) (*Template, error) {
	raw, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	var doc struct {
		AWSTemplateFormatVersion string
		Transform                string
		Description              string
		Metadata                 any
		Parameters               map[string]parameter
		Conditions               map[string]any
		Globals                  struct{ Function map[string]any }
		Resources                map[string]Resource
		Outputs                  map[string]struct {
			Description string
			Value       any
			Condition   string
			Export      any
		}
	}
	if err := decode(raw, &doc, ""); err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), ": "))
	}
	if doc.Transform != "AWS::Serverless-2016-10-31" {
		return nil, at("Transform", "wants AWS::Serverless-2016-10-31")
	}
	for id, r := range doc.Resources {
		if _, known := attributes[r.Type]; !known {
			return nil, at("Resources."+id, "Type: %q is not known", r.Type)
		}
	}
	values, err := parameterValues(doc.Parameters, params)
	if err != nil {
		return nil, err
	}
	s := &scope{
		conditions: doc.Conditions,
		ref: func(name string) (any, bool) {
			if v, ok := values[name]; ok {
				return v, true
			}
			if v, ok := pseudo(name, n); ok {
				return v, true
			}
			if r, ok := doc.Resources[name]; ok {
				return n.ref(r.Type, name), true
			}
			return nil, false
		},
		attribute: func(id, attr string) (string, bool) {
			r, ok := doc.Resources[id]
			if !ok || !slices.Contains(attributes[r.Type], attr) {
				return "", false
			}
			switch attr {
			case "Arn":
				return n.arn(r.Type, id), true
			case "QueueUrl":
				return n.ref(r.Type, id), true
			}
			return n.physical(r.Type, id), true
		},
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Conditions)) {
		if _, err := s.condition(name, "Conditions"); err != nil {
			return nil, err
		}
	}
	outputs := make(map[string]string, len(doc.Outputs))
	for name, out := range doc.Outputs {
		v, err := s.resolve(out.Value, "Outputs."+name+".Value")
		if err != nil {
			return nil, err
		}
		outputs[name] = fmt.Sprint(v)
	}
	globals, err := s.resolve(doc.Globals.Function, "Globals.Function")
	if err != nil {
		return nil, err
	}
	t := &Template{Resources: make(map[string]Resource, len(doc.Resources)), Outputs: outputs}
	for _, id := range slices.Sorted(maps.Keys(doc.Resources)) {
		if err := t.add(id, doc.Resources[id], doc.Resources, s, globals, n); err != nil {
			return nil, err
		}
	}
	return t, t.check(n)
}

// add resolves one resource and, where the local stack runs its type, reads it strictly.
func (t *Template) add(id string, r Resource, all map[string]Resource, s *scope, globals any, n names) error {
	path := "Resources." + id
	if r.Condition != "" {
		if _, err := s.condition(r.Condition, path+".Condition"); err != nil {
			return err
		}
	}
	for _, other := range dependencies(r.DependsOn) {
		if _, ok := all[other]; !ok {
			return fmt.Errorf("%s.DependsOn: there is no resource %q", path, other)
		}
	}
	path += ".Properties"
	props, err := s.resolve(r.Properties, path)
	if err != nil {
		return err
	}
	r.Properties, _ = props.(map[string]any)
	t.Resources[id] = r
	name := n.physical(r.Type, id)
	switch r.Type {
	case "AWS::Serverless::Function":
		f := &Function{ID: id, Name: strings.ToLower(strings.TrimSuffix(id, "Function"))}
		if err := decode(globals, f, "Globals.Function"); err != nil {
			return err
		}
		if err := decode(props, f, path); err != nil {
			return err
		}
		t.Functions = append(t.Functions, f)
	case "AWS::Serverless::HttpApi":
		var api struct {
			Name, Description    string
			DefaultRouteSettings struct{ ThrottlingBurstLimit, ThrottlingRateLimit int }
		}
		return decode(props, &api, path)
	case "AWS::DynamoDB::Table":
		table := &Table{ID: id, Name: name}
		t.Tables = append(t.Tables, table)
		return decode(props, table, path)
	case "AWS::S3::Bucket":
		bucket := &Bucket{ID: id, Name: name}
		t.Buckets = append(t.Buckets, bucket)
		return decode(props, bucket, path)
	case "AWS::SQS::Queue":
		queue := &Queue{ID: id, Name: name, VisibilityTimeout: 30, MessageRetentionPeriod: 345600}
		t.Queues = append(t.Queues, queue)
		return decode(props, queue, path)
	case "AWS::Events::Rule":
		rule := &Rule{ID: id}
		t.Rules = append(t.Rules, rule)
		return decode(props, rule, path)
	}
	return nil
}

func dependencies(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var ids []string
		for _, e := range v {
			ids = append(ids, fmt.Sprint(e))
		}
		return ids
	}
	return nil
}

func pseudo(name string, n names) (string, bool) {
	switch name {
	case "AWS::Region":
		return n.region, true
	case "AWS::AccountId":
		return account, true
	case "AWS::Partition":
		return partition, true
	case "AWS::StackName":
		return n.prefix, true
	case "AWS::URLSuffix":
		return "amazonaws.com", true
	}
	return "", false
}

// parameter is a template parameter with the limits of its value.
type parameter struct {
	Type                  string
	Default               *string
	Description           string
	MinValue              *int
	MaxValue              *int
	AllowedValues         []string
	AllowedPattern        string
	ConstraintDescription string
	NoEcho                bool
}

// parameterValues gives every parameter its value from overrides or its default.
func parameterValues(params map[string]parameter, overrides map[string]string) (map[string]string, error) {
	for name := range overrides {
		if _, ok := params[name]; !ok {
			return nil, fmt.Errorf("there is no parameter %s; parameters are %s", name,
				strings.Join(slices.Sorted(maps.Keys(params)), ", "))
		}
	}
	values := make(map[string]string, len(params))
	for name, p := range params {
		v, ok := overrides[name]
		if !ok {
			if p.Default == nil {
				return nil, at("Parameters."+name, "has no default, so it must be given")
			}
			v = *p.Default
		}
		if err := p.check(v); err != nil {
			return nil, at("Parameters."+name, "%w", err)
		}
		values[name] = v
	}
	return values, nil
}

func (p parameter) check(v string) error {
	switch p.Type {
	case "String":
	case "Number":
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", v)
		}
		if p.MinValue != nil && n < *p.MinValue {
			return fmt.Errorf("%d is less than %d", n, *p.MinValue)
		}
		if p.MaxValue != nil && n > *p.MaxValue {
			return fmt.Errorf("%d is more than %d", n, *p.MaxValue)
		}
	default:
		return fmt.Errorf("type %q is not known", p.Type)
	}
	if len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, v) {
		return fmt.Errorf("%q is not one of %s", v, strings.Join(p.AllowedValues, ", "))
	}
	if p.AllowedPattern != "" {
		re, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$")
		if err != nil {
			return err
		}
		if !re.MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, p.AllowedPattern)
		}
	}
	return nil
}
