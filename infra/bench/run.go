package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/infra/local"
	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
)

// The two ways of the endpoint.
const (
	endpointLocal   = "local"
	endpointStandIn = "stand-in"
)

const (
	repeats = 5   // how often importing and bare process take turns
	keep    = 300 // captured batches
	oneM    = 1_000_000
	tenM    = 10_000_000
)

// bench is a run of the bench.
type bench struct {
	options
	figures []figure

	work    string // folder for everything
	files   string // the folder that stands for S3
	stack   *local.Stack
	tables  store.Tables
	jobs    *store.Jobs
	user    int64
	spec    endpointSpec // of the stand-in
	standIn *counter
	made    map[string]string // input files, by kind and rows

	jobsDone map[int]*result // of the large ones, by rows
}

func (b *bench) close() {
	b.standIn.stop()
	if b.stack != nil {
		b.stack.Close()
	}
	if b.work != "" {
		_ = os.RemoveAll(b.work)
	}
}

// measure measures what is wanted.
func (b *bench) measure(ctx context.Context) (err error) {
	b.made = map[string]string{}
	if b.work, err = os.MkdirTemp(b.dir, "aliquot-bench-"); err != nil {
		return err
	}
	if b.wants("binary.max_mb", "start.vs_hello") {
		if err := b.binaries(ctx); err != nil {
			return err
		}
	}
	if err := b.odm(ctx); err != nil {
		return err
	}
	if !b.wants(append(odmStored, "import.", "update.", "plan.", "start.vs_hello")...) {
		return nil
	}
	if b.stack, err = local.Start(ctx, local.Options{}); err != nil {
		return fmt.Errorf("start the local stack: %w", err)
	}
	if b.wants("start.vs_hello") {
		if err := b.starts(ctx); err != nil {
			return err
		}
	}
	b.files = filepath.Join(b.work, "s3")
	b.tables = store.Tables{
		Records: b.stack.Tables["records"], Audit: b.stack.Tables["audit"], Jobs: b.stack.Tables["jobs"],
	}
	if err := b.odmImports(ctx); err != nil {
		return err
	}
	if !b.wants("import.", "update.", "plan.") {
		return nil
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{b.updates, b.imports, b.growth, b.chunkMemory, b.plans} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes what the rows name, imports a few rows into the local DynamoDB, counting, and starts the stand-in that
// takes after what they became.
func (b *bench) prepare(ctx context.Context) (err error) {
	db := store.NewClient(b.stack.AWSConfig())
	b.jobs = store.NewJobs(db, b.tables)
	if b.user, err = seed(ctx, b.stack.AWSConfig(), b.tables, (b.localRows+perVisit-1)/perVisit); err != nil {
		return fmt.Errorf("make what the rows name: %w", err)
	}
	b.spec = endpointSpec{DynamoDB: b.stack.DynamoDBEndpoint, Jobs: b.tables.Jobs}
	through, err := startEndpoint(ctx, b.spec)
	if err != nil {
		return err
	}
	defer through.stop()
	for _, kind := range []string{"import", "update"} {
		if kind == "update" && !b.wants("update.") {
			break
		}
		r, err := b.job(ctx, through, kind, b.localRows, "")
		if err != nil {
			return fmt.Errorf("%s rows of the local DynamoDB: %w", kind, err)
		}
		if err := b.reportCounts(kind, endpointLocal, b.localRows, &r.counts); err != nil {
			return err
		}
		if kind == "update" {
			continue
		}
		// The items as they are after the import, and before the update.
		if b.spec.Mark, err = fetch(ctx, db, b.tables.Records, "visit.name#"+visitName(1), "="); err != nil {
			return err
		}
		if b.spec.Label, err = fetch(ctx, db, b.tables.Records, "specimen.label#"+label(1), "="); err != nil {
			return err
		}
		at := biobank.ParseKey(*b.spec.Label["tgt"].S)
		if b.spec.Specimen, err = fetch(ctx, db, b.tables.Records, at.Part, at.Sort); err != nil {
			return err
		}
	}
	b.spec.StandIn, b.spec.Delay, b.spec.Keep = true, b.delay, keep
	b.spec.Capture = filepath.Join(b.work, "captured")
	// The stand-in takes its captures from the first batches it sees, which must be those of new rows.
	if b.standIn, err = startEndpoint(ctx, b.spec); err != nil {
		return err
	}
	_, err = b.job(ctx, b.standIn, "import", keep/3*biobank.MaxBatch, "")
	return err
}

// fetch reads an item as it is on the wire.
func fetch(ctx context.Context, db *dynamodb.Client, table, pk, sk string) (item, error) {
	out, err := db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk}},
	})
	if err != nil {
		return nil, err
	}
	if out.Item == nil {
		return nil, fmt.Errorf("the item of %s is not there", pk)
	}
	it := item{}
	for name, v := range out.Item {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			it[name] = value{S: &v.Value}
		case *types.AttributeValueMemberN:
			it[name] = value{N: &v.Value}
		case *types.AttributeValueMemberBOOL:
			it[name] = value{BOOL: &v.Value}
		default:
			return nil, fmt.Errorf("attribute %s is of type %T", name, v)
		}
	}
	return it, nil
}

// result is what a job took.
type result struct {
	counts counts
	plan   measured
	chunks measured
}

// job imports n rows of a kind ("import" or "update") through an endpoint.
func (b *bench) job(ctx context.Context, through *counter, kind string, n int, profile string) (*result, error) {
	j, err := b.newJob(ctx, kind, n)
	if err != nil {
		return nil, err
	}
	if _, err := through.counts(ctx); err != nil { // begin at zero
		return nil, err
	}
	r := &result{}
	env := b.environment("csvimport", through.url)
	if err := child(ctx, "import", importSpec{Job: j.ID, Files: b.files}, env, &r.plan); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if j, err = b.jobs.Get(ctx, j.ID); err != nil {
		return nil, err
	}
	if j.Chunks == 0 {
		return nil, fmt.Errorf("the job was not planned: %s %s", j.Status, j.Reason)
	}
	spec := importSpec{Job: j.ID, Chunks: j.Chunks, Files: b.files, Profile: profile}
	if err := child(ctx, "import", spec, env, &r.chunks); err != nil {
		return nil, fmt.Errorf("chunks: %w", err)
	}
	if r.counts, err = through.counts(ctx); err != nil {
		return nil, err
	}
	r.counts.warn("the job")
	if j, err = b.jobs.Get(ctx, j.ID); err != nil {
		return nil, err
	}
	if j.Status != jobs.Completed || j.Done != int64(n) || j.FailedRows != 0 {
		return nil, fmt.Errorf("the job is %s with %d of %d rows done and %d failed. %s", j.Status, j.Done, n, j.FailedRows, j.Reason)
	}
	return r, os.RemoveAll(filepath.Join(b.files, b.stack.Buckets["results"]))
}

// newJob makes a job over a file of n rows of a kind.
func (b *bench) newJob(ctx context.Context, kind string, n int) (*jobs.Job, error) {
	key := fmt.Sprintf("%s-%d.csv", kind, n)
	op, header, row := biobank.Create, createHeader, appendCreateRow
	if kind == "update" {
		op, header, row = biobank.Update, updateHeader, appendUpdateRow
	}
	path := filepath.Join(b.files, b.stack.Buckets["intake"], key)
	if b.made[key] == "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := writeRows(path, header, row, n); err != nil {
			return nil, err
		}
		b.made[key] = path
	}
	j := &jobs.Job{
		ObjectType: "specimen", ImportType: string(op), Total: -1, OwnerID: b.user, Owner: "lab", CreatedAt: time.Now().UTC(),
		Bucket: b.stack.Buckets["intake"], Key: key, FileName: key,
	}
	return j, b.jobs.Create(ctx, j)
}

// environment is that of a function in the template, with DynamoDB at the given address.
func (b *bench) environment(function, dynamoDB string) []string {
	env := map[string]string{
		"GOMAXPROCS": "2", "AWS_REGION": b.stack.Region, "AWS_ACCESS_KEY_ID": b.stack.AccessKey,
		"AWS_SECRET_ACCESS_KEY": b.stack.SecretKey, "AWS_ENDPOINT_URL_DYNAMODB": dynamoDB,
		"AWS_ENDPOINT_URL_S3": b.stack.S3Endpoint, "AWS_ENDPOINT_URL_SQS": b.stack.SQSEndpoint,
	}
	maps.Copy(env, b.stack.Env(function))
	var out []string
	for name, v := range env {
		out = append(out, name+"="+v)
	}
	return out
}

// updates measures rows that change specimens found by their label.
func (b *bench) updates(ctx context.Context) error {
	if !b.wants("update.") {
		return nil
	}
	r, err := b.job(ctx, b.standIn, "update", b.rows, "")
	if err != nil {
		return err
	}
	if err := b.reportCounts("update", endpointStandIn, b.rows, &r.counts); err != nil {
		return err
	}
	return b.report(figure{Figure: "update.cpu_us_per_row", Value: perRow(r.chunks.CPU, b.rows), Unit: "us/row", Rows: b.rows})
}

func perRow(cpu time.Duration, rows int) float64 {
	return float64(cpu.Nanoseconds()) / 1000 / float64(rows)
}

// imports measures rows that make specimens.
func (b *bench) imports(ctx context.Context) error {
	var last *result
	var cpu, ratios []float64
	turns := 0
	switch {
	case b.wants("import.cpu_us_per_row", "import.cpu_vs_bare_sdk"):
		turns = repeats
	case b.wants("import.write_units_per_row", "import.read_units_per_row", "import.read_units_per_parent",
		"import.requests_per_row", "import.record_bytes"):
		turns = 1
	}
	if turns > 0 && b.profile != "" {
		if _, err := b.job(ctx, b.standIn, "import", b.rows, b.profile); err != nil {
			return err
		}
	}
	for turn := range turns {
		r, err := b.job(ctx, b.standIn, "import", b.rows, "")
		if err != nil {
			return err
		}
		last = r
		us := perRow(r.chunks.CPU, b.rows)
		cpu = append(cpu, us)
		if !b.wants("import.cpu_vs_bare_sdk") {
			continue
		}
		bare, err := b.bareLoop(ctx, r.counts.ByOperation["BatchExecuteStatement"])
		if err != nil {
			return fmt.Errorf("the bare loop: %w", err)
		}
		ratios = append(ratios, us/perRow(bare.CPU, b.rows))
		fmt.Fprintf(os.Stderr, "turn %d: import %.1f us/row, bare loop %.1f us/row\n", turn+1, us, perRow(bare.CPU, b.rows))
	}
	if last != nil {
		if err := b.reportCounts("import", endpointStandIn, b.rows, &last.counts); err != nil {
			return err
		}
		if err := b.report(figure{
			Figure: "import.cpu_us_per_row", Value: median(cpu), Unit: "us/row", Rows: b.rows,
		}); err != nil {
			return err
		}
	}
	if len(ratios) > 0 {
		if err := b.report(figure{
			Figure: "import.cpu_vs_bare_sdk", Value: median(ratios), Unit: "x", Rows: b.rows,
			Note: fmt.Sprintf("%.3g to %.3g in %d turns", slices.Min(ratios), slices.Max(ratios), len(ratios)),
		}); err != nil {
			return err
		}
	}
	return nil
}

// bareLoop sends as many batches as an import did.
func (b *bench) bareLoop(ctx context.Context, requests int) (measured, error) {
	var m measured
	if _, err := b.standIn.counts(ctx); err != nil { // begin at zero
		return m, err
	}
	spec := bareSpec{Captured: b.spec.Capture, Requests: requests}
	if err := child(ctx, "bare", spec, b.environment("csvimport", b.standIn.url), &m); err != nil {
		return m, err
	}
	c, err := b.standIn.counts(ctx)
	if err == nil && c.ByOperation["BatchExecuteStatement"] < requests {
		err = fmt.Errorf("it sent %d of %d requests", c.ByOperation["BatchExecuteStatement"], requests)
	}
	c.warn("the bare loop")
	return m, err
}

// warn tells of connections that were lost, and with them answers: see soonest. A few connections are normal.
func (c *counts) warn(who string) {
	if c.Connections > 10+c.Requests/100 {
		fmt.Fprintf(os.Stderr, "%s made %d connections for %d requests, so its figures are too high\n", who, c.Connections, c.Requests)
	}
}

// growth measures what ten times the rows take.
func (b *bench) growth(ctx context.Context) error {
	if !b.wants("import.cpu_growth_10x") {
		return nil
	}
	one, err := b.large(ctx, oneM/10)
	if err != nil {
		return err
	}
	ten, err := b.large(ctx, oneM)
	if err != nil {
		return err
	}
	return b.report(figure{
		Figure: "import.cpu_growth_10x", Value: float64(ten.chunks.CPU) / float64(one.chunks.CPU), Unit: "x", Rows: oneM,
		Note: fmt.Sprintf("%.1f us/row, and %.1f us/row of %d rows", perRow(ten.chunks.CPU, oneM), perRow(one.chunks.CPU, oneM/10), oneM/10),
	})
}

// chunkMemory measures the memory of a process that does all the chunks of a job, as a warm function would.
func (b *bench) chunkMemory(ctx context.Context) error {
	if !b.wants("import.rss_") {
		return nil
	}
	one, err := b.large(ctx, oneM)
	if err != nil {
		return err
	}
	if err := b.memory("import.rss_mib_1m", oneM, one.chunks); err != nil || !b.tenM {
		return err
	}
	ten, err := b.large(ctx, tenM)
	if err != nil {
		return err
	}
	if err := b.memory("import.rss_mib_10m", tenM, ten.chunks); err != nil {
		return err
	}
	return b.report(figure{
		Figure: "import.rss_10m_vs_1m", Value: float64(ten.chunks.PeakRSS) / float64(one.chunks.PeakRSS), Unit: "x", Rows: tenM,
	})
}

// large imports n rows, once for all who ask.
func (b *bench) large(ctx context.Context, n int) (_ *result, err error) {
	if b.jobsDone[n] == nil {
		b.jobsDone[n], err = b.job(ctx, b.standIn, "import", n, "")
	}
	return b.jobsDone[n], err
}

func (b *bench) memory(name string, rows int, m measured) error {
	return b.report(figure{Figure: name, Value: float64(m.PeakRSS) / mib, Unit: "MiB", Rows: rows})
}

// plans measures planning, in a process that does nothing else.
func (b *bench) plans(ctx context.Context) error {
	sizes := []struct {
		name string
		rows int
	}{{"plan.rss_mib_1m", oneM}, {"plan.rss_mib_10m", tenM}}
	if !b.tenM {
		sizes = sizes[:1]
	}
	for _, s := range sizes {
		if !b.wants(s.name) {
			continue
		}
		j, err := b.newJob(ctx, "import", s.rows)
		if err != nil {
			return err
		}
		var m measured
		if err := child(ctx, "import", importSpec{Job: j.ID, Files: b.files}, b.environment("csvimport", b.standIn.url), &m); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		if j, err = b.jobs.Get(ctx, j.ID); err != nil {
			return err
		}
		if j.Total != int64(s.rows) {
			return fmt.Errorf("the plan has %d rows: %s %s", j.Total, j.Status, j.Reason)
		}
		if err := b.memory(s.name, s.rows, m); err != nil {
			return err
		}
		if err := b.report(figure{Figure: strings.Replace(s.name, "rss_mib", "cpu_us_per_row", 1), Value: perRow(m.CPU, s.rows), Unit: "us/row", Rows: s.rows}); err != nil {
			return err
		}
	}
	return nil
}

// reportCounts tells what rows cost.
func (b *bench) reportCounts(kind, endpoint string, rows int, c *counts) error {
	per := func(v float64) float64 { return v / float64(rows) }
	all := []figure{
		{Figure: kind + ".write_units_per_row", Value: per(c.WriteUnits), Unit: "WCU/row"},
		{Figure: kind + ".read_units_per_row", Value: per(c.ReadUnits), Unit: "RCU/row"},
		{Figure: kind + ".requests_per_row", Value: per(float64(c.Requests)), Unit: "requests/row"},
	}
	if c.Records > 0 {
		all = append(all,
			figure{Figure: kind + ".read_units_per_parent", Value: c.ParentReadUnits / float64((rows+perVisit-1)/perVisit), Unit: "RCU"},
			figure{Figure: kind + ".record_bytes", Value: float64(c.RecordBytes) / float64(c.Records), Unit: "bytes"})
	}
	for _, f := range all {
		f.Rows, f.Endpoint = rows, endpoint
		if err := b.report(f); err != nil {
			return err
		}
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
