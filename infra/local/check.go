package local

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// check reads the events of the functions and holds every figure against the limits that AWS sets, since a local stack
// would not notice them.
func (t *Template) check(n names) error {
	for _, f := range t.Functions {
		if err := t.checkFunction(f, n); err != nil {
			return err
		}
	}
	for _, table := range t.Tables {
		if err := table.check(); err != nil {
			return fmt.Errorf("Resources.%s.Properties.%w", table.ID, err)
		}
	}
	for _, q := range t.Queues {
		if err := t.checkQueue(q, n); err != nil {
			return fmt.Errorf("Resources.%s.Properties.%w", q.ID, err)
		}
	}
	for _, r := range t.Rules {
		if err := t.checkRule(r, n); err != nil {
			return fmt.Errorf("Resources.%s.Properties.%w", r.ID, err)
		}
	}
	return nil
}

func between(property string, v, lowest, highest int) error {
	if v < lowest || v > highest {
		return fmt.Errorf("%s: %d is not between %d and %d", property, v, lowest, highest)
	}
	return nil
}

func (t *Template) checkFunction(f *Function, n names) error {
	path := "Resources." + f.ID + ".Properties"
	if !strings.HasSuffix(f.ID, "Function") {
		return at("Resources."+f.ID, "the name of a function ends in Function")
	}
	if err := between("Timeout", f.Timeout, 1, 900); err != nil {
		return fmt.Errorf("%s.%w", path, err)
	}
	if err := between("MemorySize", f.MemorySize, 128, 10240); err != nil {
		return fmt.Errorf("%s.%w", path, err)
	}
	if f.Runtime != "provided.al2023" || f.Handler != "bootstrap" {
		return fmt.Errorf("%s: wants Runtime provided.al2023 and Handler bootstrap", path)
	}
	if f.RecursiveLoop != "" && f.RecursiveLoop != "Allow" && f.RecursiveLoop != "Terminate" {
		return fmt.Errorf("%s.RecursiveLoop: %q is neither Allow nor Terminate", path, f.RecursiveLoop)
	}
	for name := range f.Environment.Variables {
		if strings.HasPrefix(name, "AWS_") {
			return fmt.Errorf("%s.Environment.Variables.%s: the prefix AWS_ is reserved", path, name)
		}
	}
	for name, v := range f.Events {
		if err := t.readEvent(f, v, path+".Events."+name, n); err != nil {
			return err
		}
	}
	return nil
}

func (t *Template) readEvent(f *Function, v any, path string, n names) error {
	var event struct {
		Type       string
		Properties any
	}
	if err := decode(v, &event, path); err != nil {
		return err
	}
	path += ".Properties"
	switch event.Type {
	case "HttpApi":
		r := Route{PayloadFormatVersion: "2.0", TimeoutInMillis: 30000}
		if err := decode(event.Properties, &r, path); err != nil {
			return err
		}
		if r.PayloadFormatVersion != "2.0" {
			return fmt.Errorf("%s.PayloadFormatVersion: only 2.0 is known", path)
		}
		if err := between("TimeoutInMillis", r.TimeoutInMillis, 50, 30000); err != nil {
			return fmt.Errorf("%s.%w", path, err)
		}
		if !strings.HasPrefix(r.Path, "/") || !methods[strings.ToUpper(r.Method)] {
			return fmt.Errorf("%s: %s %s is not a route", path, r.Method, r.Path)
		}
		f.Routes = append(f.Routes, r)
	case "SQS":
		s := Source{BatchSize: 10}
		if err := decode(event.Properties, &s, path); err != nil {
			return err
		}
		return t.addSource(f, s, path, n)
	case "Schedule":
		var s struct {
			Schedule    string
			Description string
			Enabled     *bool
		}
		if err := decode(event.Properties, &s, path); err != nil {
			return err
		}
		every, err := parseRate(s.Schedule)
		if err != nil {
			return fmt.Errorf("%s.Schedule: %w", path, err)
		}
		f.Schedules = append(f.Schedules, every)
	default:
		return fmt.Errorf("%s: event type %q is not known", strings.TrimSuffix(path, ".Properties"), event.Type)
	}
	return nil
}

var methods = map[string]bool{
	"ANY": true, "GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true,
}

func (t *Template) addSource(f *Function, s Source, path string, n names) error {
	q := t.queue(s.Queue, n)
	if q == nil {
		return fmt.Errorf("%s.Queue: %s is not a queue of this template", path, s.Queue)
	}
	if q.VisibilityTimeout < f.Timeout {
		return fmt.Errorf("%s.Queue: the visibility timeout of %s, %d s, is less than the function's timeout, %d s",
			path, q.ID, q.VisibilityTimeout, f.Timeout)
	}
	if err := between("BatchSize", s.BatchSize, 1, 10); err != nil {
		return fmt.Errorf("%s.%w", path, err)
	}
	if c := s.ScalingConfig.MaximumConcurrency; c != 0 {
		if err := between("ScalingConfig.MaximumConcurrency", c, 2, 1000); err != nil {
			return fmt.Errorf("%s.%w", path, err)
		}
	}
	for _, r := range s.FunctionResponseTypes {
		if r != "ReportBatchItemFailures" {
			return fmt.Errorf("%s.FunctionResponseTypes: %q is not known", path, r)
		}
	}
	if f.Role != "" {
		rights, err := t.readRole(f.Role[strings.LastIndexByte(f.Role, '/')+len(n.prefix)+2:])
		if err != nil {
			return err
		}
		for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
			if !rights.allows(need{action: action, resource: s.Queue}) {
				return fmt.Errorf("%s.Queue: the function's role does not allow %s, which Lambda needs to read it", path, action)
			}
		}
	}
	f.Sources = append(f.Sources, s)
	return nil
}

// queue returns the template's queue of that ARN, or nil.
func (t *Template) queue(arn string, n names) *Queue {
	for _, q := range t.Queues {
		if n.arn("AWS::SQS::Queue", q.ID) == arn {
			return q
		}
	}
	return nil
}

// parseRate reads rate(n unit) of EventBridge: minute, hour or day, in the plural unless n is 1. The least is a minute.
func parseRate(text string) (time.Duration, error) {
	fault := fmt.Errorf("%q is not a rate such as rate(5 minutes)", text)
	inner, ok := strings.CutPrefix(text, "rate(")
	inner, closed := strings.CutSuffix(inner, ")")
	count, unit, spaced := strings.Cut(inner, " ")
	n, err := strconv.Atoi(count)
	if !ok || !closed || !spaced || err != nil || n < 1 || strings.HasPrefix(count, "+") {
		return 0, fault
	}
	singular, plural := strings.CutSuffix(unit, "s")
	if plural == (n == 1) {
		return 0, fault
	}
	switch singular {
	case "minute":
		return time.Duration(n) * time.Minute, nil
	case "hour":
		return time.Duration(n) * time.Hour, nil
	case "day":
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return 0, fault
}

func (table *Table) check() error {
	if table.TableName != "" {
		return at("TableName", "a retained table with a fixed name stops the next stack from being made")
	}
	if table.BillingMode != "PAY_PER_REQUEST" {
		return at("BillingMode", "wants PAY_PER_REQUEST")
	}
	defined := map[string]bool{}
	for _, a := range table.AttributeDefinitions {
		if a.AttributeName == nil || a.AttributeType != "S" && a.AttributeType != "N" && a.AttributeType != "B" {
			return at("AttributeDefinitions", "wants a name and one of the types S, N, B")
		}
		defined[*a.AttributeName] = true
	}
	if n := len(table.KeySchema); n < 1 || n > 2 || n != len(defined) {
		return at("KeySchema", "wants the hash key and perhaps a range key, each defined and nothing else defined")
	}
	for i, k := range table.KeySchema {
		if k.AttributeName == nil || !defined[*k.AttributeName] {
			return fmt.Errorf("KeySchema[%d]: is not in AttributeDefinitions", i)
		}
		if want := [2]string{"HASH", "RANGE"}[i]; string(k.KeyType) != want {
			return fmt.Errorf("KeySchema[%d].KeyType: wants %s", i, want)
		}
	}
	return nil
}

func (t *Template) checkQueue(q *Queue, n names) error {
	if err := between("VisibilityTimeout", q.VisibilityTimeout, 0, 43200); err != nil {
		return err
	}
	if err := between("DelaySeconds", q.DelaySeconds, 0, 900); err != nil {
		return err
	}
	if err := between("MessageRetentionPeriod", q.MessageRetentionPeriod, 60, 1209600); err != nil {
		return err
	}
	if p := q.RedrivePolicy; p.DeadLetterTargetArn != "" || p.MaxReceiveCount != 0 {
		if t.queue(p.DeadLetterTargetArn, n) == nil {
			return at("RedrivePolicy.deadLetterTargetArn", "%s is not a queue of this template", p.DeadLetterTargetArn)
		}
		return between("RedrivePolicy.maxReceiveCount", p.MaxReceiveCount, 1, 1000)
	}
	return nil
}

func (t *Template) checkRule(r *Rule, n names) error {
	if r.State != "" && r.State != "ENABLED" && r.State != "DISABLED" {
		return at("State", "%q is neither ENABLED nor DISABLED", r.State)
	}
	if len(r.Targets) == 0 || len(r.Targets) > 5 {
		return at("Targets", "wants 1 to 5")
	}
	if err := checkPattern(r.EventPattern, "EventPattern"); err != nil {
		return err
	}
	for i, target := range r.Targets {
		if t.queue(target.Arn, n) == nil {
			return fmt.Errorf("Targets[%d].Arn: %s is not a queue of this template", i, target.Arn)
		}
		if dead := target.DeadLetterConfig.Arn; dead != "" && t.queue(dead, n) == nil {
			return fmt.Errorf("Targets[%d].DeadLetterConfig.Arn: %s is not a queue of this template", i, dead)
		}
	}
	return nil
}
