package csvimport

import (
	"strconv"
	"sync"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// Schema is the columns of an object type (reference openspecimen-import-query.md section 2): what they are called, what
// an operation needs of them, which of them say who a row is about, and how a row becomes a draft.
type Schema struct {
	objectType string
	label      string
	generated  []string
	columns    []column
	// create and update say what the header must hold: of each group one caption. An upsert needs either.
	create, update [][]string
	keys           []identityKey
	// binder wires the columns of a file to the fields of the draft.
	binder func(*header, Options) func(*input) biobank.Draft
	// levels are those of the custom fields that the objects may have; custom are their forms, where a job has them, and
	// more the columns of a form's records.
	levels []biobank.Level
	// op is the operation of all jobs of the type, where it has only one.
	op biobank.Op
	// makes tells how many specimens a row makes, 0 where it does not say; nil where a row makes one object.
	makes func(*header) func(cells [][]byte) int64
	// looks tells that what a row makes depends on what others have made, and not by names alone: why it is refused must be kept
	// before the rows behind it are done.
	looks bool
	// several tells that several rows may be about one object, which file names then say.
	several bool
	custom  map[biobank.Level]*biobank.Form
	more    []string
}

// column is one column, or one family of numbered columns, as captions show it.
type column struct {
	caption string
	aliases []string // older captions; of a list: its first value
	many    bool
	members []string // captions below each number of a nested record
}

// captions are the columns of the template, numbered ones twice.
func (c column) captions() []string {
	if !c.many {
		return []string{c.caption}
	}
	var all []string
	for n := 1; n <= 2; n++ {
		numbered := c.caption + "#" + strconv.Itoa(n)
		if len(c.members) == 0 {
			all = append(all, numbered)
		}
		for _, m := range c.members {
			all = append(all, numbered+"#"+m)
		}
	}
	return all
}

var schemas = sync.OnceValue(func() map[string]*Schema {
	all := map[string]*Schema{}
	for _, s := range []*Schema{
		registrationSchema(), visitSchema(), specimenSchema(), masterSchema(), instituteSchema(), siteSchema(),
		protocolSchema(), containerSchema(), containerTypeSchema(), eventSchema(), requirementSchema(),
		aliquotSchema(), derivativeSchema(), disposalSchema(), locatedSchema(), consentSchema(), userSchema(), userRolesSchema(), distributionSchema(),
		formRecordsSchema(typeExtensions), formRecordsSchema(typeUserExtensions),
	} {
		all[s.objectType] = s
	}
	return all
})

// SchemaFor is the schema of an object type as the import job names it, or nil when there is none.
func SchemaFor(objectType string) *Schema { return schemas()[objectType] }

// ObjectType is the name of the type in jobs and file names, as in cpr.
func (s *Schema) ObjectType() string { return s.objectType }

// operation is what a job does with its rows: what it was asked to, where its type has several operations.
func operation(j *jobs.Job) biobank.Op {
	if s := SchemaFor(j.ObjectType); s != nil && s.op != "" {
		return s.op
	}
	return biobank.Op(j.ImportType)
}

// Label names many of the objects, for the title of a job.
func (s *Schema) Label() string { return s.label }

// Template is the header of a file with every column, numbered ones with #1 and #2.
func (s *Schema) Template() []string {
	var all []string
	for _, c := range s.columns {
		all = append(all, c.captions()...)
	}
	all = append(all, s.more...)
	for _, level := range s.levels {
		if f := s.custom[level]; f != nil {
			all = append(all, formCaptions(f.Caption+"#", f.Controls)...)
		}
	}
	return all
}

// Generated are the columns that a report adds after status and message: what the registry made up.
func (s *Schema) Generated() []string { return s.generated }
