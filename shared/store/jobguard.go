package store

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"aliquot/shared/jobs"
)

// Guard is a chunk's lease in the hands of its worker. It is renewed with the first request of each 24 rows, on condition
// that nobody took the lease over or asked the job to stop; so abort and fencing cost no request of their own.
type Guard struct {
	Chunk *jobs.Chunk
	// Until is what the lease is prolonged to.
	Until func() time.Time
	// Progress is shown as the chunk's: rows with an outcome, and how many of them failed.
	Progress func() (done, failed int64)
}

func (g *Guard) append(b []byte, statement string) []byte {
	b = begin(b, statement)
	b = paramN(b, g.Until().UnixMilli())
	done, failed := g.Progress()
	b = paramN(b, done)
	b = paramN(b, failed)
	b = paramS(b, chunkPart(g.Chunk.JobID))
	b = paramS(b, chunkSort(g.Chunk.N))
	b = paramN(b, g.Chunk.Fence)
	b = append(b, `{"BOOL":false},`...)
	return end(b)
}

// lostLease tells why a lease could not be renewed.
func (s *Jobs) lostLease(ctx context.Context, g *Guard) error {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: keyOf(chunkPart(g.Chunk.JobID), chunkSort(g.Chunk.N)), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return err
	}
	if number(out.Item["fence"]) == g.Chunk.Fence && flag(out.Item["halt"]) {
		return jobs.ErrStopped
	}
	return jobs.ErrLeaseLost
}
