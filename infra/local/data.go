package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// createData makes the tables and buckets of a template. Those that are there already, from an earlier start, stay as
// they are.
func createData(ctx context.Context, cfg aws.Config, t *Template) error {
	db, objects := dynamodb.NewFromConfig(cfg), s3.NewFromConfig(cfg)
	g, ctx := errgroup.WithContext(ctx)
	for _, table := range t.Tables {
		g.Go(func() error {
			if err := createTable(ctx, db, table); err != nil {
				return fmt.Errorf("table %s: %w", table.ID, err)
			}
			return nil
		})
	}
	for _, bucket := range t.Buckets {
		g.Go(func() error {
			if err := createBucket(ctx, objects, bucket); err != nil {
				return fmt.Errorf("bucket %s: %w", bucket.ID, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func createTable(ctx context.Context, db *dynamodb.Client, t *Table) error {
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String(t.Name),
		AttributeDefinitions: t.AttributeDefinitions,
		KeySchema:            t.KeySchema,
		BillingMode:          t.BillingMode,
	})
	var exists *types.ResourceInUseException
	if errors.As(err, &exists) {
		return nil
	}
	if err != nil {
		return err
	}
	if attr := t.TimeToLiveSpecification.AttributeName; attr != "" {
		_, err = db.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName: aws.String(t.Name),
			TimeToLiveSpecification: &types.TimeToLiveSpecification{
				AttributeName: aws.String(attr), Enabled: aws.Bool(t.TimeToLiveSpecification.Enabled),
			},
		})
	}
	return err
}

func createBucket(ctx context.Context, objects *s3.Client, b *Bucket) error {
	_, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(b.Name)})
	var exists *s3types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &exists) {
		return err
	}
	if b.VersioningConfiguration.Status == "" {
		return nil
	}
	_, err = objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: aws.String(b.Name),
		VersioningConfiguration: &s3types.VersioningConfiguration{
			Status: s3types.BucketVersioningStatus(b.VersioningConfiguration.Status),
		},
	})
	return err
}
