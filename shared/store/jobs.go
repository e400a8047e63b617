package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// Jobs keeps import jobs and their chunks in the jobs table:
//
//	job      pk "jobs", sk <id>: doc, stat, fence, lease (epoch ms), halt, tries, whole
//	chunk    pk "job#<id>", sk "chunk#<n>": open, next, parts, done, bad, fence, lease, halt, tries
//	open job pk "open", sk <id>, until the job ends: what the sweep looks at
//	drop     pk "drop#<hash of bucket, key, version, entry>": num (the job's id), so that an event delivered twice makes one job
//	queue    pk "drops#<owner>", sk <stamp>#<name>#<id>, until the job ends: the order of one owner's files
//	turn     pk "turn#<owner>": num (the job's id), the owner's file that runs, or ran last
//	uuid     pk "uuid#<uuid>": num (the job's id), where the job has one
//	listed   pk "list#<list>", sk <id>: num (the job's id), for each list that shows the job, until it is deleted
//
// Kinds of jobs that have nothing to do with one another have a space each: jobs, open jobs and UUIDs then lie at
// "<space>.jobs" and so on, and no list shows those of another. Ids are drawn from one counter, so that a job's chunks, and
// the sources of what it writes, are its own in any space.
type Jobs struct {
	db    *dynamodb.Client
	table string
	space string // with its dot
}

// NewJobs makes the store over t.Jobs.
func NewJobs(db *dynamodb.Client, t Tables) *Jobs { return &Jobs{db: db, table: t.Jobs} }

func jobKey(id int64) map[string]types.AttributeValue { return keyOf("jobs", biobank.PadID(id)) }

// Create stores a new job and sets its ID. A drop is made once per object version, and a job with a UUID once: when it
// exists already, j becomes that job and Create returns jobs.ErrEnded if that one has ended, nil otherwise.
func (s *Jobs) Create(ctx context.Context, j *jobs.Job) error {
	if known, err := s.known(ctx, j); known || err != nil {
		return err
	}
	id, err := reserve(ctx, s.db, s.table, "job", 1)
	if err != nil {
		return fmt.Errorf("draw a job id: %w", err)
	}
	j.ID, j.Fence = id, 0
	if j.Status == "" {
		j.Status = jobs.Queued
	}
	item, err := s.jobItem(j)
	if err != nil {
		return err
	}
	fresh := aws.String("attribute_not_exists(pk)")
	puts := []types.TransactWriteItem{{Put: &types.Put{TableName: &s.table, Item: item, ConditionExpression: fresh}}}
	add := func(key map[string]types.AttributeValue) {
		key["num"] = num(id)
		puts = append(puts, types.TransactWriteItem{Put: &types.Put{TableName: &s.table, Item: key, ConditionExpression: fresh}})
	}
	if !j.Status.Final() {
		add(s.openKey(id))
	}
	if j.UUID != "" {
		add(s.uuidKey(j.UUID))
	}
	for _, list := range j.Lists {
		add(keyOf(s.listPart(list), biobank.PadID(id)))
	}
	if j.Drop {
		add(dropKey(j))
		if !j.Status.Final() {
			add(queueKey(j))
		}
	}
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return err
		}
		_, err = s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: puts})
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) {
			return err
		}
		if known, err := s.known(ctx, j); known || err != nil { // somebody else may have made it meanwhile
			return err
		}
		if !again(cancelled) {
			return fmt.Errorf("store job %d: %w", id, err)
		}
	}
}

// again tells whether a cancelled transaction may succeed next time.
func again(cancelled *types.TransactionCanceledException) bool {
	for _, r := range cancelled.CancellationReasons {
		if code := aws.ToString(r.Code); code != "" && code != "None" && !retryable(code) {
			return false
		}
	}
	return true
}

// known finds the job that a drop, or a UUID, has already, and makes j that job.
func (s *Jobs) known(ctx context.Context, j *jobs.Job) (bool, error) {
	var got *jobs.Job
	var err error
	switch {
	case j.Drop:
		got, err = s.named(ctx, dropKey(j))
	case j.UUID != "":
		got, err = s.named(ctx, s.uuidKey(j.UUID))
	}
	if err != nil || got == nil {
		return false, err
	}
	*j = *got
	if got.Status.Final() {
		return true, jobs.ErrEnded
	}
	return true, nil
}

func (s *Jobs) jobItem(j *jobs.Job) (map[string]types.AttributeValue, error) {
	doc, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	item := s.jobKey(j.ID)
	item["doc"] = str(string(doc))
	item["stat"] = str(string(j.Status))
	item["fence"] = num(j.Fence)
	item["lease"] = num(millis(j.LeasedTo))
	item["halt"] = &types.AttributeValueMemberBOOL{Value: j.Stop}
	item["tries"] = num(int64(j.Attempts))
	return item, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func flag(v types.AttributeValue) bool {
	b, ok := v.(*types.AttributeValueMemberBOOL)
	return ok && b.Value
}

func decodeJob(item map[string]types.AttributeValue) (*jobs.Job, error) {
	var j jobs.Job
	if err := json.Unmarshal([]byte(text(item["doc"])), &j); err != nil {
		return nil, fmt.Errorf("decode job: %w", err)
	}
	id, err := strconv.ParseInt(text(item["sk"]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("job id: %w", err)
	}
	j.ID = id
	j.Status = jobs.Status(text(item["stat"]))
	j.Fence, j.Attempts = number(item["fence"]), int(number(item["tries"]))
	j.LeasedTo = time.UnixMilli(number(item["lease"])).UTC()
	j.Stop, j.Deleted = flag(item["halt"]), flag(item["gone"])
	return &j, nil
}

// Get reads a job, strongly; nil when there is none. The counters of one that runs are summed over its chunks.
func (s *Jobs) Get(ctx context.Context, id int64) (*jobs.Job, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: s.jobKey(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("read job %d: %w", id, err)
	}
	if out.Item == nil {
		return nil, nil
	}
	j, err := decodeJob(out.Item)
	if err != nil {
		return nil, err
	}
	return j, s.count(ctx, j)
}

// count sums the counters of a running job.
func (s *Jobs) count(ctx context.Context, j *jobs.Job) error {
	if j.Status != jobs.InProgress || j.Chunks == 0 {
		return nil
	}
	chunks, err := s.Chunks(ctx, j.ID, -1, 0)
	if err != nil {
		return err
	}
	j.Done, j.FailedRows = 0, 0
	for _, c := range chunks {
		j.Done += c.Done
		j.FailedRows += c.Failed
	}
	return nil
}

// List returns the jobs that the filter selects, newest first.
func (s *Jobs) List(ctx context.Context, f jobs.Filter) ([]*jobs.Job, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("pk = :p"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(s.space + "jobs")},
	}
	var out []*jobs.Job
	skip := f.StartAt
	for {
		page, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list jobs: %w", err)
		}
		for _, item := range page.Items {
			j, err := decodeJob(item)
			if err != nil {
				return nil, err
			}
			if !f.Matches(j) {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if err := s.count(ctx, j); err != nil {
				return nil, err
			}
			if out = append(out, j); f.Max > 0 && len(out) == f.Max {
				return out, nil
			}
		}
		if page.LastEvaluatedKey == nil {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// Lease takes the job for planning or finishing. jobs.ErrLeased: another worker has it; jobs.ErrEnded: it has ended.
func (s *Jobs) Lease(ctx context.Context, id int64, now time.Time, d time.Duration) (*jobs.Job, error) {
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(id),
		UpdateExpression:    aws.String("SET lease = :to ADD fence :one, tries :one"),
		ConditionExpression: aws.String("lease < :now AND stat IN (:q, :p)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":to": num(now.Add(d).UnixMilli()), ":now": num(now.UnixMilli()), ":one": num(1),
			":q": str(string(jobs.Queued)), ":p": str(string(jobs.InProgress)),
		},
		ReturnValues: types.ReturnValueAllNew,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		j, err := s.Get(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case j == nil || j.Status.Final():
			return j, jobs.ErrEnded
		}
		return j, jobs.ErrLeased
	}
	if err != nil {
		return nil, fmt.Errorf("lease job %d: %w", id, err)
	}
	return decodeJob(out.Attributes)
}

// Renew prolongs the lease of a job that is being planned or finished, and shows its state.
func (s *Jobs) Renew(ctx context.Context, j *jobs.Job, to time.Time) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(j.ID),
		UpdateExpression:    aws.String("SET lease = :to, stat = :s"),
		ConditionExpression: aws.String("fence = :f"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":to": num(to.UnixMilli()), ":s": str(string(j.Status)), ":f": num(j.Fence),
		},
	})
	return fenced(err)
}

// fenced turns a failed condition on the fence into jobs.ErrLeaseLost.
func fenced(err error) error {
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return jobs.ErrLeaseLost
	}
	return err
}

// Save stores what the holder of the lease has made of the job and gives the lease back.
func (s *Jobs) Save(ctx context.Context, j *jobs.Job) error {
	doc, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("encode job: %w", err)
	}
	_, err = s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(j.ID),
		UpdateExpression:    aws.String("SET doc = :d, stat = :s, lease = :zero, tries = :t"),
		ConditionExpression: aws.String("fence = :f"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":d": str(string(doc)), ":s": str(string(j.Status)), ":zero": num(0), ":t": num(int64(j.Attempts)), ":f": num(j.Fence),
		},
	})
	return fenced(err)
}

// Checkpoint stores what the holder of the lease has made of the job, keeps the lease until to, and tells whether somebody
// asked the job to stop.
func (s *Jobs) Checkpoint(ctx context.Context, j *jobs.Job, to time.Time) (stop bool, err error) {
	doc, err := json.Marshal(j)
	if err != nil {
		return false, fmt.Errorf("encode job: %w", err)
	}
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(j.ID),
		UpdateExpression:    aws.String("SET doc = :d, stat = :s, lease = :to, tries = :t"),
		ConditionExpression: aws.String("fence = :f"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":d": str(string(doc)), ":s": str(string(j.Status)), ":to": num(to.UnixMilli()), ":t": num(int64(j.Attempts)), ":f": num(j.Fence),
		},
		ReturnValues: types.ReturnValueAllNew,
	})
	if err != nil {
		return false, fenced(err)
	}
	return flag(out.Attributes["halt"]), nil
}

// End stores the job in its final state, under the lease, and takes it off the lists of open work.
func (s *Jobs) End(ctx context.Context, j *jobs.Job) error {
	doc, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("encode job: %w", err)
	}
	writes := []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &s.table, Key: s.jobKey(j.ID),
			UpdateExpression:    aws.String("SET doc = :d, stat = :s, lease = :zero, whole = :w"),
			ConditionExpression: aws.String("fence = :f"),
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":d": str(string(doc)), ":s": str(string(j.Status)), ":zero": num(0), ":f": num(j.Fence),
				":w": &types.AttributeValueMemberBOOL{Value: j.Whole()},
			},
		}},
		{Delete: &types.Delete{TableName: &s.table, Key: s.openKey(j.ID)}},
	}
	if j.Drop {
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{TableName: &s.table, Key: queueKey(j)}})
	}
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return err
		}
		_, err = s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) {
			return err
		}
		if reasons := cancelled.CancellationReasons; len(reasons) > 0 && aws.ToString(reasons[0].Code) == "ConditionalCheckFailed" {
			return jobs.ErrLeaseLost
		}
		if !again(cancelled) {
			return fmt.Errorf("end job %d: %w", j.ID, err)
		}
	}
}

// RequestStop asks a job to stop: its workers see it before their next 24 rows. A job that nobody has begun is stopped at
// once. It returns the job as it is then, and jobs.ErrEnded for one that has ended already. The caller then sends the job's
// message once more, so that a worker closes what is left.
func (s *Jobs) RequestStop(ctx context.Context, id int64) (*jobs.Job, error) {
	yes := &types.AttributeValueMemberBOOL{Value: true}
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(id),
		UpdateExpression:    aws.String("SET halt = :yes"),
		ConditionExpression: aws.String("stat IN (:q, :p)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":yes": yes, ":q": str(string(jobs.Queued)), ":p": str(string(jobs.InProgress)),
		},
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		j, err := s.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		return j, jobs.ErrEnded
	}
	if err != nil {
		return nil, fmt.Errorf("stop job %d: %w", id, err)
	}
	// A chunk leased before the flag is flagged here; one leased after it sees the job's flag.
	chunks, err := s.Chunks(ctx, id, -1, 0)
	if err != nil {
		return nil, err
	}
	for _, c := range chunks {
		if !c.Open || c.LeasedTo.UnixMilli() <= 0 {
			continue
		}
		_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: keyOf(chunkPart(id), chunkSort(c.N)),
			UpdateExpression:          aws.String("SET halt = :yes"),
			ConditionExpression:       aws.String("opened = :yes"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":yes": yes},
		})
		if err = fenced(err); err != nil && !errors.Is(err, jobs.ErrLeaseLost) {
			return nil, fmt.Errorf("stop chunk %d of job %d: %w", c.N, id, err)
		}
	}
	return s.Get(ctx, id)
}
