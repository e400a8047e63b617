package local

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsNeedTheRightsOfAWS(t *testing.T) {
	tests := []struct {
		name    string
		service guarded
		method  string
		target  string // path and query, or X-Amz-Target
		body    string
		want    []string
	}{
		{"get item", guardedDynamoDB, "POST", "DynamoDB_20120810.GetItem", `{"TableName":"t"}`, []string{"dynamodb:GetItem table/t"}},
		{
			"batch get", guardedDynamoDB, "POST", "DynamoDB_20120810.BatchGetItem", `{"RequestItems":{"t":{}}}`,
			[]string{"dynamodb:BatchGetItem table/t"},
		},
		{
			"transaction", guardedDynamoDB, "POST", "DynamoDB_20120810.TransactWriteItems",
			`{"TransactItems":[{"Put":{"TableName":"t"}},{"ConditionCheck":{"TableName":"u"}},{"Put":{"TableName":"t"}}]}`,
			[]string{"dynamodb:PutItem table/t", "dynamodb:ConditionCheckItem table/u"},
		},
		{
			"statements", guardedDynamoDB, "POST", "DynamoDB_20120810.BatchExecuteStatement",
			`{"Statements":[{"Statement":"INSERT INTO \"t\" VALUE {'pk':?}"},{"Statement":"UPDATE \"t\" SET a=? WHERE pk=?"},{"Statement":"DELETE FROM t WHERE pk=?"}]}`,
			[]string{"dynamodb:PartiQLInsert table/t", "dynamodb:PartiQLUpdate table/t", "dynamodb:PartiQLDelete table/t"},
		},
		{
			"statements of a transaction", guardedDynamoDB, "POST", "DynamoDB_20120810.ExecuteTransaction",
			`{"TransactStatements":[{"Statement":"SELECT * FROM \"t\" WHERE pk=?"}]}`,
			[]string{"dynamodb:PartiQLSelect table/t"},
		},
		{"get object", guardedS3, "GET", "/b/k/l", "", []string{"s3:GetObject b/k/l"}},
		{"get a version", guardedS3, "HEAD", "/b/k?versionId=1", "", []string{"s3:GetObjectVersion b/k"}},
		{"put a part", guardedS3, "PUT", "/b/k?partNumber=1&uploadId=2", "", []string{"s3:PutObject b/k"}},
		{"give up an upload", guardedS3, "DELETE", "/b/k?uploadId=2", "", []string{"s3:AbortMultipartUpload b/k"}},
		{"list", guardedS3, "GET", "/b?list-type=2&prefix=x/", "", []string{"s3:ListBucket b"}},
		{"list uploads", guardedS3, "GET", "/b?uploads", "", []string{"s3:ListBucketMultipartUploads b"}},
		{"send a batch", guardedSQS, "POST", "AmazonSQS.SendMessageBatch", `{"QueueUrl":"http://h/0/q"}`, []string{"sqs:SendMessage q"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := test.target
			if !strings.HasPrefix(target, "/") {
				target = "/"
			}
			r := httptest.NewRequest(test.method, target, strings.NewReader(test.body))
			r.Header.Set("X-Amz-Target", test.target)
			needs, err := test.service.needs(r, testNames)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range needs {
				got = append(got, n.action+" "+n.resource[strings.LastIndexByte(n.resource, ':')+1:])
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("needs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestsThatTheGuardDoesNotKnowAreRefused(t *testing.T) {
	for _, path := range []string{"/b?acl", "/b?policy", "/"} {
		r := httptest.NewRequest("GET", path, nil)
		if needs, err := s3Needs(r, testNames); err == nil && path != "/" {
			t.Errorf("%s needs %v", path, needs)
		}
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{}`))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	if needs, err := dynamodbNeeds(r, testNames); err == nil {
		t.Errorf("ListTables needs %v", needs)
	}
}

func TestRoleAllows(t *testing.T) {
	r := role{
		{Action: texts{"s3:GetObject"}, Resource: texts{"arn:b/jobs/*", "arn:c"}},
		{
			Action: texts{"s3:ListBucket"}, Resource: texts{"arn:b"},
			Condition: map[string]map[string]texts{"StringLike": {"s3:prefix": {"_uploads/*"}}},
		},
	}
	tests := []struct {
		need need
		want bool
	}{
		{need{action: "s3:GetObject", resource: "arn:b/jobs/1/report.csv"}, true},
		{need{action: "s3:GetObject", resource: "arn:b/other"}, false},
		{need{action: "s3:GetObject", resource: "arn:c"}, true},
		{need{action: "s3:GetObject", resource: "arn:c/d"}, false},
		{need{action: "s3:PutObject", resource: "arn:b/jobs/1"}, false},
		{need{action: "s3:ListBucket", resource: "arn:b", prefix: "_uploads/7/"}, true},
		{need{action: "s3:ListBucket", resource: "arn:b", prefix: ""}, false},
	}
	for _, test := range tests {
		if got := r.allows(test.need); got != test.want {
			t.Errorf("%+v: %t", test.need, got)
		}
	}
}
