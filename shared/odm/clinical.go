package odm

import (
	"bytes"
	"strings"
)

// ODM is the root element. What it declares and where its schema lies is written by the Writer.
type ODM struct {
	FileOID             string
	Description         string
	CreationDateTime    string
	FileType            string
	ODMVersion          string
	Granularity         string
	Originator          string
	SourceSystem        string
	SourceSystemVersion string
}

func (o *ODM) fields(f *fields) {
	f.attr("FileOID", &o.FileOID)
	f.attr("Description", &o.Description)
	f.attr("CreationDateTime", &o.CreationDateTime)
	f.attr("FileType", &o.FileType)
	f.attr("ODMVersion", &o.ODMVersion)
	f.attr("Granularity", &o.Granularity)
	f.attr("Originator", &o.Originator)
	f.attr("SourceSystem", &o.SourceSystem)
	f.attr("SourceSystemVersion", &o.SourceSystemVersion)
	if f.mode == writing {
		for _, d := range declares {
			f.out.declare(d.name, d.uri)
		}
		f.out.attr(SpaceXSI, "schemaLocation", schemaLocation)
	}
}

// ClinicalData holds the subjects of a study or site.
type ClinicalData struct {
	StudyOID           string
	MetaDataVersionOID string
}

func (c *ClinicalData) fields(f *fields) {
	f.attr("StudyOID", &c.StudyOID)
	f.attr("MetaDataVersionOID", &c.MetaDataVersionOID)
}

// SubjectData is a participant: SubjectKey is the OID, StudySubjectID what people call the participant.
type SubjectData struct {
	SubjectKey       string
	StudySubjectID   string
	UniqueIdentifier string
	Status           string
	SecondaryID      string
	YearOfBirth      string
	DateOfBirth      string
	Sex              string
	EnrollmentDate   string
}

func (s *SubjectData) fields(f *fields) {
	f.attr("SubjectKey", &s.SubjectKey)
	f.oc("StudySubjectID", &s.StudySubjectID)
	f.oc("UniqueIdentifier", &s.UniqueIdentifier)
	f.oc("Status", &s.Status)
	f.oc("SecondaryID", &s.SecondaryID)
	f.oc("YearOfBirth", &s.YearOfBirth)
	f.oc("DateOfBirth", &s.DateOfBirth)
	f.oc("Sex", &s.Sex)
	f.oc("EnrollmentDate", &s.EnrollmentDate)
}

// SubjectGroupData says in which group of a class a subject is.
type SubjectGroupData struct {
	StudyGroupClassID   string
	StudyGroupClassName string
	StudyGroupName      string
}

func (s *SubjectGroupData) fields(f *fields) {
	f.oc("StudyGroupClassID", &s.StudyGroupClassID)
	f.oc("StudyGroupClassName", &s.StudyGroupClassName)
	f.oc("StudyGroupName", &s.StudyGroupName)
}

// StudyEventData is one occurrence of an event.
type StudyEventData struct {
	StudyEventOID       string
	StudyEventRepeatKey string
	EventName           string
	StudyEventLocation  string
	StartDate           string
	EndDate             string
	Status              string
	WorkflowStatus      string
	Removed             string
	Archived            string
	Locked              string
	Signed              string
	SubjectAgeAtEvent   string
}

func (e *StudyEventData) fields(f *fields) {
	f.attr("StudyEventOID", &e.StudyEventOID)
	f.attr("StudyEventRepeatKey", &e.StudyEventRepeatKey)
	f.oc("EventName", &e.EventName)
	f.oc("StudyEventLocation", &e.StudyEventLocation)
	f.oc("StartDate", &e.StartDate)
	f.oc("EndDate", &e.EndDate)
	f.oc("Status", &e.Status)
	f.oc("WorkflowStatus", &e.WorkflowStatus)
	f.oc("Removed", &e.Removed)
	f.oc("Archived", &e.Archived)
	f.oc("Locked", &e.Locked)
	f.oc("Signed", &e.Signed)
	f.oc("SubjectAgeAtEvent", &e.SubjectAgeAtEvent)
}

// Signature is what a signatory attested about an event, as imports give it (section 3.2).
type Signature struct{ Attestation string }

func (s *Signature) fields(f *fields) { f.attr("Attestation", &s.Attestation) }

// FormData is a filled-in form of an event. Version is the 3.x name of FormLayoutOID.
type FormData struct {
	FormOID         string
	FormRepeatKey   string
	FormName        string
	FormLayoutOID   string
	Version         string
	InterviewerName string
	InterviewDate   string
	CreatedDate     string
	CreatedBy       string
	UpdatedDate     string
	UpdatedBy       string
	Status          string
	WorkflowStatus  string
	SdvStatus       string
	Removed         string
	Archived        string

	ReasonForChangeForCompleteForms string // imports only
}

func (d *FormData) fields(f *fields) {
	f.attr("FormOID", &d.FormOID)
	f.attr("FormRepeatKey", &d.FormRepeatKey)
	f.oc("FormName", &d.FormName)
	f.oc("FormLayoutOID", &d.FormLayoutOID)
	f.oc("Version", &d.Version)
	f.oc("InterviewerName", &d.InterviewerName)
	f.oc("InterviewDate", &d.InterviewDate)
	f.oc("CreatedDate", &d.CreatedDate)
	f.oc("CreatedBy", &d.CreatedBy)
	f.oc("UpdatedDate", &d.UpdatedDate)
	f.oc("UpdatedBy", &d.UpdatedBy)
	f.oc("Status", &d.Status)
	f.oc("WorkflowStatus", &d.WorkflowStatus)
	f.oc("SdvStatus", &d.SdvStatus)
	f.oc("Removed", &d.Removed)
	f.oc("Archived", &d.Archived)
	f.oc("ReasonForChangeForCompleteForms", &d.ReasonForChangeForCompleteForms)
}

// ItemGroupData is one repeat of an item group.
type ItemGroupData struct {
	ItemGroupOID       string
	ItemGroupRepeatKey string
	ItemGroupName      string
	Removed            string
	TransactionType    string

	ItemData        []ItemData
	AuditLog        []AuditLog
	DiscrepancyNote []DiscrepancyNote
}

func (g *ItemGroupData) fields(f *fields) {
	f.attr("ItemGroupOID", &g.ItemGroupOID)
	f.attr("ItemGroupRepeatKey", &g.ItemGroupRepeatKey)
	f.oc("ItemGroupName", &g.ItemGroupName)
	f.oc("Removed", &g.Removed)
	f.attr("TransactionType", &g.TransactionType)
	list(f, SpaceODM, "ItemData", &g.ItemData)
	f.typedItem(&g.ItemData)
	wrapped(f, SpaceOC, "AuditLogs", owner{"EntityID", g.ItemGroupOID}, SpaceOC, "AuditLog", &g.AuditLog)
	wrapped(f, SpaceOC, "DiscrepancyNotes", owner{"EntityID", g.ItemGroupOID}, SpaceOC, "DiscrepancyNote", &g.DiscrepancyNote)
}

// reset empties g and keeps the room for its items.
func (g *ItemGroupData) reset() { *g = ItemGroupData{ItemData: g.ItemData[:0]} }

// ItemData is an item and its value. Values come as text, whatever the item's data type.
type ItemData struct {
	ItemOID            string
	ItemName           string
	IsNull             string
	ReasonForNull      string
	Value              string
	NoValue            bool // there is no value, which is not the same as an empty one (section 3.2)
	MeasurementUnitOID string

	AuditLog        []AuditLog
	DiscrepancyNote []DiscrepancyNote
}

func (d *ItemData) fields(f *fields) {
	f.attr("ItemOID", &d.ItemOID)
	f.oc("ItemName", &d.ItemName)
	f.attr("IsNull", &d.IsNull)
	f.oc("ReasonForNull", &d.ReasonForNull)
	switch f.mode {
	case readingAttrs:
		if a := f.r.attr(SpaceODM, "Value"); a != nil {
			d.Value = f.r.string(a.value)
		} else {
			d.NoValue = true
		}
	case writing:
		if !d.NoValue {
			f.out.attr(SpaceODM, "Value", d.Value)
		}
	}
	f.ref(SpaceODM, "MeasurementUnitRef", "MeasurementUnitOID", &d.MeasurementUnitOID)
	wrapped(f, SpaceOC, "AuditLogs", owner{"EntityID", d.ItemOID}, SpaceOC, "AuditLog", &d.AuditLog)
	wrapped(f, SpaceOC, "DiscrepancyNotes", owner{"EntityID", d.ItemOID}, SpaceOC, "DiscrepancyNote", &d.DiscrepancyNote)
}

// typedItemData is ItemDataString and the like, which hold the value as text.
type typedItemData struct{ ItemData }

func (d *typedItemData) fields(f *fields) {
	d.ItemData.fields(f)
	f.text(&d.Value)
}

// typedSuffixes are the ends of the names of typed items (ODM 1.3.2).
var typedSuffixes = map[string]bool{
	"Any": true, "String": true, "Integer": true, "Float": true, "Double": true, "Boolean": true, "URI": true,
	"Date": true, "Time": true, "Datetime": true, "PartialDate": true, "PartialTime": true, "PartialDatetime": true,
	"DurationDatetime": true, "IntervalDatetime": true, "IncompleteDatetime": true,
	"HexBinary": true, "Base64Binary": true, "HexFloat": true, "Base64Float": true,
}

// typedItem takes a typed item as an ItemData (section 3.1). The white space around its text counts only where it is text
// that is meant, not where it is a number, a date or the like.
func (f *fields) typedItem(v *[]ItemData) {
	if f.mode != readingChild || f.taken {
		return
	}
	suffix, is := bytes.CutPrefix(f.r.s.name, []byte("ItemData"))
	if !is || !typedSuffixes[string(suffix)] || !f.begins(string(f.r.s.name)) {
		return
	}
	isText := string(suffix) == "String" || string(suffix) == "Any"
	d := &f.r.typed
	*d = typedItemData{}
	spendFor[ItemData](f.r)
	f.r.element(d)
	if !isText {
		d.Value = strings.Trim(d.Value, " \t\r\n")
	}
	d.NoValue = d.IsNull == "Yes" && d.Value == ""
	*v = append(*v, d.ItemData)
}

// AuditLogs are the audit entries of a form, an event or a subject.
type AuditLogs struct{ AuditLog []AuditLog }

func (a *AuditLogs) fields(f *fields) {
	f.about()
	list(f, SpaceOC, "AuditLog", &a.AuditLog)
}

// AuditLog is an audit entry.
type AuditLog struct {
	ID              string
	UserID          string
	UserName        string
	Name            string
	DateTimeStamp   string
	AuditType       string
	ReasonForChange string
	OldValue        string
	NewValue        string
	ValueType       string
	Details         string
}

func (a *AuditLog) fields(f *fields) {
	f.attr("ID", &a.ID)
	f.attr("UserID", &a.UserID)
	f.attr("UserName", &a.UserName)
	f.attr("Name", &a.Name)
	f.attr("DateTimeStamp", &a.DateTimeStamp)
	f.attr("AuditType", &a.AuditType)
	f.attr("ReasonForChange", &a.ReasonForChange)
	f.attr("OldValue", &a.OldValue)
	f.attr("NewValue", &a.NewValue)
	f.attr("ValueType", &a.ValueType)
	f.attr("Details", &a.Details)
}

// DiscrepancyNotes are the notes on a form, an event or a subject.
type DiscrepancyNotes struct{ DiscrepancyNote []DiscrepancyNote }

func (d *DiscrepancyNotes) fields(f *fields) {
	f.about()
	list(f, SpaceOC, "DiscrepancyNote", &d.DiscrepancyNote)
}

// DiscrepancyNote is a query or an annotation with what was said about it.
type DiscrepancyNote struct {
	ID                 string
	Status             string
	NoteType           string
	DateUpdated        string
	EntityName         string
	NumberOfChildNotes string
	ChildNote          []ChildNote
}

func (d *DiscrepancyNote) fields(f *fields) {
	f.attr("ID", &d.ID)
	f.attr("Status", &d.Status)
	f.attr("NoteType", &d.NoteType)
	f.attr("DateUpdated", &d.DateUpdated)
	f.attr("EntityName", &d.EntityName)
	f.attr("NumberOfChildNotes", &d.NumberOfChildNotes)
	list(f, SpaceOC, "ChildNote", &d.ChildNote)
}

// ChildNote is one step of a note.
type ChildNote struct {
	ID           string
	Status       string
	DateCreated  string
	UserName     string
	Name         string
	Description  string
	DetailedNote string
	UserRef      *UserRef
}

func (c *ChildNote) fields(f *fields) {
	f.attr("ID", &c.ID)
	f.attr("Status", &c.Status)
	f.attr("DateCreated", &c.DateCreated)
	f.attr("UserName", &c.UserName)
	f.attr("Name", &c.Name)
	f.leaf(SpaceOC, "Description", &c.Description)
	f.leaf(SpaceOC, "DetailedNote", &c.DetailedNote)
	one(f, SpaceODM, "UserRef", &c.UserRef)
}

// UserRef is the user that a note is assigned to. 3.x and 4.x write UserOID with a blank after it; it is read and written
// as it is given.
type UserRef struct {
	UserOID  string
	UserName string
	FullName string
}

func (u *UserRef) fields(f *fields) {
	f.attr("UserOID", &u.UserOID)
	f.oc("UserName", &u.UserName)
	f.oc("FullName", &u.FullName)
}

// about writes which element a part is about: the one that is open.
func (f *fields) about() {
	if f.mode == writing {
		f.attr("EntityID", &f.entity)
	}
}
