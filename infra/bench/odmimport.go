package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
	"aliquot/shared/odm"
	"aliquot/shared/odmimport"
	"aliquot/shared/store"
	"aliquot/shared/wire"
)

// odmPatients is how many participants share the large document's events.
const odmPatients = 1_000

// odmStored begin the names of the figures that need a store.
var odmStored = []string{"odm.import_", "odm.reimport_", "odm.update_", "odm.retrieve_"}

// odmImportSpec is what a process that imports a document is told. Everything else is in its environment.
type odmImportSpec struct {
	User             int64
	Study            string
	Files            string // the folder that stands for S3
	Bucket, Document string
}

// odmImports measures imports of ODM: the units of documents with one event a participant, where the fewest items share
// what is written of participant and event, and the memory of one of 100 MB. New values write no audit entry: a new record
// carries its own creation. What was imported is then collected.
func (b *bench) odmImports(ctx context.Context) error {
	if !b.wants(odmStored...) {
		return nil
	}
	user, err := seedOwner(ctx, b.stack.AWSConfig(), b.tables)
	if err != nil {
		return fmt.Errorf("make a user: %w", err)
	}
	if b.wants("odm.import_write_units_per_item", "odm.import_read_units_per_item", "odm.import_requests_per_item", "odm.import_cpu_us_per_item",
		"odm.reimport_", "odm.update_", "odm.retrieve_mb_per_s", "odm.retrieve_read_units_per_item", "odm.retrieve_requests_per_item") {
		if err := b.odmUnits(ctx, user); err != nil {
			return err
		}
	}
	if b.wants("odm.import_rss_mib_100mb", "odm.retrieve_rss_mib_100mb") {
		const nights = odmLarge/odmNightBytes/odmPatients + 1
		took, _, err := b.odmImport(ctx, user, odmStudy+"_LARGE", odmPatients, odmParts(odmPatients, nights))
		if err != nil {
			return err
		}
		const items = odmPatients * nights * odmGroups * odmItems
		err = b.report(figure{
			Figure: "odm.import_rss_mib_100mb", Value: float64(took.PeakRSS) / mib, Unit: "MiB", Rows: items, Endpoint: endpointLocal,
		})
		if err != nil {
			return err
		}
		if b.wants("odm.retrieve_rss_mib_100mb") {
			got, _, err := b.odmRetrieve(ctx, user, odmStudy+"_LARGE")
			if err != nil {
				return err
			}
			err = b.report(figure{
				Figure: "odm.retrieve_rss_mib_100mb", Value: float64(got.PeakRSS) / mib, Unit: "MiB", Rows: items, Endpoint: endpointLocal,
				Note: fmt.Sprintf("of %d MB", got.Bytes/1e6),
			})
			if err != nil {
				return err
			}
		}
	}
	if b.wants("odm.import_one_form_") {
		return b.odmOneForm(ctx, user)
	}
	return nil
}

// odmUnits measures the import of a document, the same one once more, by which nothing changes, one that changes a value in
// each form, and what all of it costs to collect.
func (b *bench) odmUnits(ctx context.Context, user int64) error {
	people := max(1, b.rows/(odmGroups*odmItems))
	items := people * odmGroups * odmItems
	took, n, err := b.odmImport(ctx, user, odmStudy, people, odmParts(people, 1))
	if err != nil {
		return err
	}
	if err := b.odmReport("import", "item", items, took, n, "groups of ten items; no audit entries"); err != nil {
		return err
	}
	if b.wants("odm.reimport_", "odm.update_") {
		if took, n, err = b.odmImportInto(ctx, user, odmStudy, odmParts(people, 1)); err != nil {
			return err
		}
		if err := b.odmReport("reimport", "item", items, took, n, "nothing changes"); err != nil {
			return err
		}
		if took, n, err = b.odmImportInto(ctx, user, odmStudy, odmChanges(people)); err != nil {
			return err
		}
		if err := b.odmReport("update", "value", people, took, n, "one value a form; with its audit entry"); err != nil {
			return err
		}
	}
	if !b.wants("odm.retrieve_") {
		return nil
	}
	got, n, err := b.odmRetrieve(ctx, user, odmStudy)
	if err != nil {
		return err
	}
	for _, f := range []figure{
		{Figure: "odm.retrieve_mb_per_s", Value: float64(got.Bytes) / 1e6 / got.CPU.Seconds(), Unit: "MB/s", Note: "of CPU time"},
		{Figure: "odm.retrieve_read_units_per_item", Value: n.ReadUnits / float64(items), Unit: "RCU/item"},
		{Figure: "odm.retrieve_requests_per_item", Value: float64(n.Requests) / float64(items), Unit: "requests/item"},
	} {
		f.Rows, f.Endpoint = items, endpointLocal
		if err := b.report(f); err != nil {
			return err
		}
	}
	return nil
}

// odmReport tells what an import took by what it is counted by.
func (b *bench) odmReport(what, by string, many int, took measured, n counts, note string) error {
	name := func(figure string) string { return "odm." + what + "_" + figure + "_per_" + by }
	per := func(v float64) float64 { return v / float64(many) }
	for _, f := range []figure{
		{Figure: name("write_units"), Value: per(n.WriteUnits), Unit: "WCU/" + by, Note: note},
		{Figure: name("read_units"), Value: per(n.ReadUnits), Unit: "RCU/" + by},
		{Figure: name("requests"), Value: per(float64(n.Requests)), Unit: "requests/" + by},
		{Figure: name("cpu_us"), Value: perRow(took.CPU, many), Unit: "us/" + by},
	} {
		f.Rows, f.Endpoint = many, endpointLocal
		if err := b.report(f); err != nil {
			return err
		}
	}
	return nil
}

// odmOneForm measures the import of a form of one participant that is a document of 100 MB by itself: what is read of it for
// each part must not grow with what is stored of it. -rows makes a smaller one, of so many items.
func (b *bench) odmOneForm(ctx context.Context, user int64) error {
	groups := min(odmLarge/(odmNightBytes/odmGroups), max(1, b.rows/odmItems))
	took, n, err := b.odmImport(ctx, user, odmStudy+"_ONE", 1, odmOneForm(groups))
	if err != nil {
		return err
	}
	items := groups * odmItems
	for _, f := range []figure{
		{Figure: "odm.import_one_form_read_units_per_item", Value: float64(n.ReadUnits) / float64(items), Unit: "RCU/item", Note: "one participant, one form"},
		{Figure: "odm.import_one_form_rss_mib", Value: float64(took.PeakRSS) / mib, Unit: "MiB"},
	} {
		f.Rows, f.Endpoint = items, endpointLocal
		if err := b.report(f); err != nil {
			return err
		}
	}
	return nil
}

// odmImport makes a study with participants, and imports a document about them through a counting endpoint.
func (b *bench) odmImport(ctx context.Context, user int64, study string, people int, doc iter.Seq[odm.Part]) (took measured, n counts, err error) {
	if err := seedStudy(ctx, b.stack.AWSConfig(), b.tables, b.stack.Buckets["results"], study, people); err != nil {
		return took, n, fmt.Errorf("make study %s: %w", study, err)
	}
	return b.odmImportInto(ctx, user, study, doc)
}

// odmImportInto imports a document into a study that there is.
func (b *bench) odmImportInto(ctx context.Context, user int64, study string, doc iter.Seq[odm.Part]) (took measured, n counts, err error) {
	spec := odmImportSpec{
		User: user, Study: study, Files: b.files, Bucket: b.stack.Buckets["intake"], Document: study + ".xml",
	}
	if err := writeDocument(folder(b.files).path(spec.Bucket, spec.Document), study, doc); err != nil {
		return took, n, err
	}
	through, err := startEndpoint(ctx, endpointSpec{DynamoDB: b.stack.DynamoDBEndpoint, Jobs: b.tables.Jobs})
	if err != nil {
		return took, n, err
	}
	defer through.stop()
	if err := child(ctx, "odm-import", spec, b.environment("odmimport", through.url), &took); err != nil {
		return took, n, fmt.Errorf("import %s: %w", spec.Document, err)
	}
	n, err = through.counts(ctx)
	return took, n, err
}

// odmFolder is a folder of objects of any type.
type odmFolder struct{ folder }

func (f odmFolder) Create(ctx context.Context, bucket, key, _ string) jobs.Writer {
	return f.folder.Create(ctx, bucket, key)
}

func (f odmFolder) RemoveBelow(_ context.Context, bucket, prefix string) error {
	return os.RemoveAll(f.path(bucket, prefix))
}

// runODMImport imports a document as the function odmimport would, and prints what it took.
func runODMImport(ctx context.Context, doc []byte) error {
	var spec odmImportSpec
	if err := json.Unmarshal(doc, &spec); err != nil {
		return err
	}
	im, _, err := wire.OdmImporter(ctx)
	if err != nil {
		return err
	}
	im.Files = odmFolder{folder(spec.Files)}
	im.Queue = noQueue{}
	im.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	uuid, err := odmimport.NewUUID(rand.Reader)
	if err != nil {
		return err
	}
	place, err := im.Place(ctx, spec.Study)
	if err != nil {
		return err
	}
	j := odmimport.NewJob(odmimport.TypeImport, place, spec.User, "harbor", uuid, spec.Document, im.Now())
	j.Bucket, j.Key = spec.Bucket, spec.Document
	if err := im.Jobs.Create(ctx, j); err != nil {
		return err
	}
	return measure(func() error {
		if err := im.Handle(ctx, odmimport.Message(j.ID)); err != nil {
			return err
		}
		done, err := im.Jobs.Get(ctx, j.ID)
		if err == nil && (done.Status != jobs.Completed || done.FailedRows > 0 || done.Done == 0) {
			err = fmt.Errorf("the job is %s with %d rows done and %d failed. %s", done.Status, done.Done, done.FailedRows, done.Reason)
		}
		return err
	})
}

func writeDocument(path, study string, doc iter.Seq[odm.Part]) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close() // a second Close does nothing
	if err := odmWrite(odm.NewXMLWriter(f), study, doc); err != nil {
		return err
	}
	return f.Close()
}

// seedOwner makes the user as whom documents are imported.
func seedOwner(ctx context.Context, cfg aws.Config, tables store.Tables) (int64, error) {
	reg := &biobank.Registry{Store: store.NewRecords(store.NewClient(cfg), tables)}
	out, err := reg.Apply(ctx, systemActor(), at, []biobank.Change{
		{Op: biobank.Create, ID: "bench", Draft: &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Harbor Institute"}}},
	})
	if err == nil {
		err = out[0].Err
	}
	if err != nil {
		return 0, err
	}
	out, err = reg.Apply(ctx, systemActor(), at, []biobank.Change{
		{Op: biobank.Create, ID: "bench", Draft: &biobank.UserDraft{Institute: "Harbor Institute", Doc: biobank.UserDoc{
			FirstName: "Hanna", LastName: "Harbor", EmailAddress: "harbor@example.org", LoginName: "harbor", DomainName: biobank.Domain,
			Type: biobank.UserSuper, ActivityStatus: biobank.StatusActive,
		}}},
	})
	if err == nil {
		err = out[0].Err
	}
	if err != nil {
		return 0, err
	}
	return out[0].Record.ID, nil
}

// seedStudy makes a study that collects the items of the documents, with its participants.
func seedStudy(ctx context.Context, cfg aws.Config, tables store.Tables, results, study string, people int) error {
	reg := &clinical.Registry{
		Store: store.NewRecords(store.NewClient(cfg), tables), Objects: studyObjects{blob.New(cfg), results}, Random: rand.Reader,
	}
	by := clinical.By{Actor: &clinical.Actor{Actor: systemActor()}, At: at, ID: "bench"}
	place, err := reg.PutStudy(ctx, by, clinical.StudyDraft{OID: study, Name: "Harbor", Unique: study})
	if err != nil {
		return err
	}
	if _, _, err := reg.PutMetadata(ctx, by, study, odmDefinition(study)); err != nil {
		return err
	}
	for s := range people {
		_, label := odmKey(s)
		if _, err := reg.AddParticipant(ctx, by, place, clinical.SubjectDraft{Label: label}); err != nil {
			return fmt.Errorf("participant %d: %w", s, err)
		}
	}
	return nil
}

// odmDefinition is the metadata of such a study.
func odmDefinition(study string) []byte {
	var refs, items strings.Builder
	for i := range odmItems {
		fmt.Fprintf(&refs, `<ItemRef ItemOID="%s" Mandatory="No"/>`, odmItemOID(i))
		fmt.Fprintf(&items, `<ItemDef OID="%s" Name="HOURS" DataType="float"/>`, odmItemOID(i))
	}
	return fmt.Appendf(nil, `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"><Study OID="%s">
<GlobalVariables><StudyName>Harbor</StudyName><StudyDescription>Invented</StudyDescription><ProtocolName>HARBOR</ProtocolName></GlobalVariables>
<MetaDataVersion OID="v1" Name="1"><Protocol><StudyEventRef StudyEventOID="SE_NIGHT" Mandatory="Yes"/></Protocol>
<StudyEventDef OID="SE_NIGHT" Name="Night" Repeating="Yes" Type="Scheduled"><FormRef FormOID="F_SLEEP" Mandatory="No"/></StudyEventDef>
<FormDef OID="F_SLEEP" Name="Sleep" Repeating="No"><ItemGroupRef ItemGroupOID="IG_SLEEP" Mandatory="No"/></FormDef>
<ItemGroupDef OID="IG_SLEEP" Name="Sleep" Repeating="Yes">%s</ItemGroupDef>%s</MetaDataVersion></Study></ODM>`, study, refs.String(), items.String())
}

// studyObjects keeps metadata in a bucket, where the importing process looks for them.
type studyObjects struct {
	blobs  *blob.Store
	bucket string
}

func (o studyObjects) Get(ctx context.Context, key string) ([]byte, error) {
	return o.blobs.Get(ctx, blob.Object{Bucket: o.bucket, Key: key}, 1<<20)
}

func (o studyObjects) Put(ctx context.Context, key string, body []byte) error {
	_, err := o.blobs.Put(ctx, o.bucket, key, "application/octet-stream", body)
	return err
}
