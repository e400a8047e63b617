package localtest_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aliquot/infra/local/localtest"
)

func TestDataIsFreshForEachCall(t *testing.T) {
	one, two := localtest.Data(t), localtest.Data(t)
	db := dynamodb.NewFromConfig(one.AWSConfig())
	item := map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "a"}, "sk": &types.AttributeValueMemberS{Value: "b"},
	}
	put := &dynamodb.PutItemInput{
		TableName: aws.String(one.Tables["records"]), Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)"),
	}
	if _, err := db.PutItem(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	var exists *types.ConditionalCheckFailedException
	if _, err := db.PutItem(t.Context(), put); !errors.As(err, &exists) {
		t.Errorf("a second conditional put answered %v", err)
	}
	put.TableName = aws.String(two.Tables["records"])
	if _, err := db.PutItem(t.Context(), put); err != nil {
		t.Errorf("the second stack is not empty: %v", err)
	}
}

func TestIntakeKeepsVersions(t *testing.T) {
	s := localtest.Data(t)
	client := s3.NewFromConfig(s.AWSConfig())
	var versions []string
	for _, text := range []string{"first", "second"} {
		out, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(s.Buckets["intake"]), Key: aws.String("owner/a file +%ä.csv"), Body: strings.NewReader(text),
		})
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, aws.ToString(out.VersionId))
	}
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String(s.Buckets["intake"]), Key: aws.String("owner/a file +%ä.csv"), VersionId: aws.String(versions[0]),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != "first" {
		t.Errorf("the first version holds %q", text)
	}
}
