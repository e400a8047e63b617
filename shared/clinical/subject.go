package clinical

import "time"

// Subject is a participant of a study, at one of its sites or at the study itself. It is SubjectData on the wire.
type Subject struct {
	OID   string `json:"oid"` // SS_...; SubjectKey on the wire
	Label string `json:"label"`
	// Study is the id of the study, Site that of the site, or of the study where it has none.
	Study int64 `json:"study"`
	Site  int64 `json:"site"`

	UniqueIdentifier string `json:"uniqueIdentifier,omitempty"`
	SecondaryID      string `json:"secondaryId,omitempty"`
	YearOfBirth      string `json:"yearOfBirth,omitempty"`
	DateOfBirth      string `json:"dateOfBirth,omitempty"`
	Sex              string `json:"sex,omitempty"`
	EnrollmentDate   string `json:"enrollmentDate,omitempty"`

	// FirstName, LastName, Email and Phone are contact data: they are never part of ODM.
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
	Email     string `json:"email,omitempty"`
	Phone     string `json:"phone,omitempty"`

	Removed bool `json:"removed,omitempty"`
	Signed  bool `json:"signed,omitempty"`

	UpdatedAt int64 `json:"updatedAt,omitempty"` // epoch ms, 0: as created
	UpdatedBy int64 `json:"updatedBy,omitempty"`

	// Pending is the source of a plan whose writes are being done; empty when nobody changes the participant.
	Pending string `json:"pending,omitempty"`
	// Entries counts the audit entries of the participant's data; they form one chain.
	Entries int64 `json:"entries,omitempty"`
}

// Listed is a participant in the list of a study.
type Listed struct {
	OID   string `json:"oid"`
	Label string `json:"label"`
	Site  int64  `json:"site"`
	ID    int64  `json:"id"`
}

// Event is an occurrence of an event for a participant, with the states of its forms.
type Event struct {
	OID       string `json:"oid"`
	Key       int    `json:"key"`
	StartDate string `json:"startDate,omitempty"`
	EndDate   string `json:"endDate,omitempty"`
	Location  string `json:"location,omitempty"`
	Status    string `json:"status"`

	Removed  bool `json:"removed,omitempty"`
	Archived bool `json:"archived,omitempty"`
	Locked   bool `json:"locked,omitempty"`
	Signed   bool `json:"signed,omitempty"`
	// Attestations are the texts of signatures, in order.
	Attestations []string `json:"attestations,omitempty"`

	Forms map[string]*Form `json:"forms,omitempty"` // by folded OID
}

// Form is the state of a form in an event; its values lie in item groups.
type Form struct {
	OID    string `json:"oid"`
	Layout string `json:"layout,omitempty"`
	Status string `json:"status"`
	SDV    string `json:"sdv,omitempty"`

	InterviewerName string `json:"interviewer,omitempty"`
	InterviewDate   string `json:"interviewDate,omitempty"`

	Removed  bool `json:"removed,omitempty"`
	Archived bool `json:"archived,omitempty"`

	CreatedAt   int64 `json:"createdAt"` // epoch ms
	CreatedBy   int64 `json:"createdBy"`
	UpdatedAt   int64 `json:"updatedAt,omitempty"`
	UpdatedBy   int64 `json:"updatedBy,omitempty"`
	CompletedAt int64 `json:"completedAt,omitempty"`
	// Import is the job that began the form: what it stored besides came with the form, also in a later plan.
	Import string `json:"import,omitempty"`
	// Noted tells that items of the form have notes.
	Noted bool `json:"noted,omitempty"`
}

// Group is a repeat of an item group with its values.
type Group struct {
	OID     string            `json:"oid"`
	Key     int               `json:"key"`
	Removed bool              `json:"removed,omitempty"`
	Values  map[string]string `json:"values"` // by item OID as defined
	// Files are the keys of the objects that values of file items name, by item OID.
	Files map[string]string `json:"files,omitempty"`
}

// put stores the value of an item, with the key of the file that it names, if it names one.
func (g *Group) put(oid, value, file string) {
	g.Values[oid] = value
	delete(g.Files, oid)
	if file != "" {
		if g.Files == nil {
			g.Files = map[string]string{}
		}
		g.Files[oid] = file
	}
}

// Thread is a discrepancy note of an item with what was said.
type Thread struct {
	ID       string  `json:"id"`
	Kind     string  `json:"kind"` // Query, Annotation, Reason for Change, Failed Validation Check
	Status   string  `json:"status"`
	Item     string  `json:"item"`
	Children []Child `json:"children"`
}

// Child is one note of a thread.
type Child struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	At     int64  `json:"at"`
	By     int64  `json:"by"` // user id
	To     int64  `json:"to,omitempty"`
	Text   string `json:"text"`
	Short  string `json:"short,omitempty"`
}

// The workflow states of events (section 6.5, status vocabulary).
const (
	EventScheduled = "scheduled"
	EventStarted   = "data entry started"
	EventCompleted = "completed"
	EventStopped   = "stopped"
	EventSkipped   = "skipped"
)

// The workflow states of forms.
const (
	FormInitial  = "initial data entry"
	FormComplete = "data entry complete"
)

// The states of source data verification.
const (
	SDVReady    = "Ready to verify"
	SDVVerified = "Verified"
	SDVChanged  = "Changed since verified"
)

// The states of notes.
const (
	NoteNew            = "New"
	NoteUpdated        = "Updated"
	NoteClosed         = "Closed"
	NoteClosedModified = "Closed-Modified"
	notApplicable      = "Not Applicable" // of what is no query
)

// The kinds of notes.
const (
	KindQuery      = "Query"
	KindAnnotation = "Annotation"
	KindReason     = "Reason for Change"
	KindCheck      = "Failed Validation Check" // of 3.x
)

// stamp is a time as stored.
func stamp(t time.Time) int64 { return t.UnixMilli() }
