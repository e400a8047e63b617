package odm

// Study is what a study or site collects.
type Study struct {
	OID             string
	GlobalVariables *GlobalVariables
	MeasurementUnit []MeasurementUnit // in BasicDefinitions
	MetaDataVersion []MetaDataVersion
}

func (s *Study) fields(f *fields) {
	f.attr("OID", &s.OID)
	one(f, SpaceODM, "GlobalVariables", &s.GlobalVariables)
	wrapped(f, SpaceODM, "BasicDefinitions", owner{}, SpaceODM, "MeasurementUnit", &s.MeasurementUnit)
	list(f, SpaceODM, "MetaDataVersion", &s.MetaDataVersion)
}

// GlobalVariables are the names of a study. CDISC's schema wants all three.
type GlobalVariables struct {
	StudyName        string
	StudyDescription string
	ProtocolName     string
}

func (g *GlobalVariables) fields(f *fields) {
	f.leaf(SpaceODM, "StudyName", &g.StudyName)
	f.leafOnLines(SpaceODM, "StudyDescription", &g.StudyDescription)
	f.leaf(SpaceODM, "ProtocolName", &g.ProtocolName)
}

// TranslatedText is a text in a language.
type TranslatedText struct {
	Lang string
	Text string
}

func (t *TranslatedText) fields(f *fields) {
	f.attribute(SpaceXML, "lang", &t.Lang)
	f.text(&t.Text)
}

// MeasurementUnit is a unit that items refer to.
type MeasurementUnit struct {
	OID    string
	Name   string
	Symbol []TranslatedText
	Alias  []Element
}

func (m *MeasurementUnit) fields(f *fields) {
	f.attr("OID", &m.OID)
	f.attr("Name", &m.Name)
	f.translated("Symbol", &m.Symbol)
	f.raw(SpaceODM, "Alias", &m.Alias)
}

// MetaDataVersion is one version of a study's definitions. That of a site includes its study's.
type MetaDataVersion struct {
	OID         string
	Name        string
	Description string
	Include     *Include

	Protocol         *Protocol
	StudyEventDef    []StudyEventDef
	FormDef          []FormDef
	ItemGroupDef     []ItemGroupDef
	ItemDef          []ItemDef
	CodeList         []CodeList
	ImputationMethod []Element
	Presentation     []Element
	ConditionDef     []Element
	MethodDef        []Element

	MultiSelectList     []MultiSelectList
	StudyGroupClassList []StudyGroupClassList
	StudyDetails        []Element
	Rules               []Element
}

func (m *MetaDataVersion) fields(f *fields) {
	f.attr("OID", &m.OID)
	f.attr("Name", &m.Name)
	f.attr("Description", &m.Description)
	one(f, SpaceODM, "Include", &m.Include)
	one(f, SpaceODM, "Protocol", &m.Protocol)
	list(f, SpaceODM, "StudyEventDef", &m.StudyEventDef)
	list(f, SpaceODM, "FormDef", &m.FormDef)
	list(f, SpaceODM, "ItemGroupDef", &m.ItemGroupDef)
	list(f, SpaceODM, "ItemDef", &m.ItemDef)
	list(f, SpaceODM, "CodeList", &m.CodeList)
	f.raw(SpaceODM, "ImputationMethod", &m.ImputationMethod)
	f.raw(SpaceODM, "Presentation", &m.Presentation)
	f.raw(SpaceODM, "ConditionDef", &m.ConditionDef)
	f.raw(SpaceODM, "MethodDef", &m.MethodDef)
	list(f, SpaceOC, "MultiSelectList", &m.MultiSelectList)
	list(f, SpaceOC, "StudyGroupClassList", &m.StudyGroupClassList)
	f.raw(SpaceOC, "StudyDetails", &m.StudyDetails)
	f.raw(SpaceRules, "Rules", &m.Rules)
}

// Include names the version that another one builds on.
type Include struct {
	StudyOID           string
	MetaDataVersionOID string
}

func (i *Include) fields(f *fields) {
	f.attr("StudyOID", &i.StudyOID)
	f.attr("MetaDataVersionOID", &i.MetaDataVersionOID)
}

// Protocol says which events a study has.
type Protocol struct {
	Description   []TranslatedText
	StudyEventRef []StudyEventRef
	Alias         []Element
}

func (p *Protocol) fields(f *fields) {
	f.translated("Description", &p.Description)
	list(f, SpaceODM, "StudyEventRef", &p.StudyEventRef)
	f.raw(SpaceODM, "Alias", &p.Alias)
}

// StudyEventRef names an event of a protocol.
type StudyEventRef struct {
	StudyEventOID                   string
	OrderNumber                     string
	Mandatory                       string
	CollectionExceptionConditionOID string
}

func (s *StudyEventRef) fields(f *fields) {
	f.attr("StudyEventOID", &s.StudyEventOID)
	f.attr("OrderNumber", &s.OrderNumber)
	f.attr("Mandatory", &s.Mandatory)
	f.attr("CollectionExceptionConditionOID", &s.CollectionExceptionConditionOID)
}

// StudyEventDef defines an event.
type StudyEventDef struct {
	OID                    string
	Name                   string
	Repeating              string
	Type                   string
	Category               string
	EventType              string
	Status                 string
	Description            []TranslatedText
	FormRef                []FormRef
	Alias                  []Element
	EventDefinitionDetails []EventDefinitionDetails
}

func (s *StudyEventDef) fields(f *fields) {
	f.attr("OID", &s.OID)
	f.attr("Name", &s.Name)
	f.attr("Repeating", &s.Repeating)
	f.attr("Type", &s.Type)
	f.attr("Category", &s.Category)
	f.oc("EventType", &s.EventType)
	f.oc("Status", &s.Status)
	f.translated("Description", &s.Description)
	list(f, SpaceODM, "FormRef", &s.FormRef)
	f.raw(SpaceODM, "Alias", &s.Alias)
	list(f, SpaceOC, "EventDefinitionDetails", &s.EventDefinitionDetails)
}

// EventDefinitionDetails is what OpenClinica adds to an event.
type EventDefinitionDetails struct {
	StudyEventOID string
	Description   string
	Category      string
}

func (e *EventDefinitionDetails) fields(f *fields) {
	f.attr("StudyEventOID", &e.StudyEventOID)
	f.leaf(SpaceOC, "Description", &e.Description)
	f.leaf(SpaceOC, "Category", &e.Category)
}

// FormRef names a form of an event.
type FormRef struct {
	FormOID                         string
	OrderNumber                     string
	Mandatory                       string
	CollectionExceptionConditionOID string
	Status                          string
	ConfigurationParameters         *ConfigurationParameters
	FormLayoutRef                   []FormLayoutRef
}

func (r *FormRef) fields(f *fields) {
	f.attr("FormOID", &r.FormOID)
	f.attr("OrderNumber", &r.OrderNumber)
	f.attr("Mandatory", &r.Mandatory)
	f.attr("CollectionExceptionConditionOID", &r.CollectionExceptionConditionOID)
	f.oc("Status", &r.Status)
	one(f, SpaceOC, "ConfigurationParameters", &r.ConfigurationParameters)
	list(f, SpaceOC, "FormLayoutRef", &r.FormLayoutRef)
}

// ConfigurationParameters says how an event offers a form.
type ConfigurationParameters struct {
	HideCRF                  string
	ParticipateForm          string
	AllowAnonymousSubmission string
	SubmissionURL            string
	Offline                  string
}

func (c *ConfigurationParameters) fields(f *fields) {
	f.attr("HideCRF", &c.HideCRF)
	f.attr("ParticipateForm", &c.ParticipateForm)
	f.attr("AllowAnonymousSubmission", &c.AllowAnonymousSubmission)
	f.attr("SubmissionUrl", &c.SubmissionURL)
	f.attr("Offline", &c.Offline)
}

// FormLayoutRef names a version of a form that an event offers.
type FormLayoutRef struct {
	OID              string
	IsDefaultVersion string
}

func (r *FormLayoutRef) fields(f *fields) {
	f.attr("OID", &r.OID)
	f.attr("IsDefaultVersion", &r.IsDefaultVersion)
}

// FormDef defines a form; in 3.x extracts one version of a form.
type FormDef struct {
	OID           string
	Name          string
	Repeating     string
	Description   []TranslatedText
	ItemGroupRef  []ItemGroupRef
	ArchiveLayout []Element
	Alias         []Element
	FormLayoutDef []FormLayoutDef
	FormDetails   *FormDetails
}

func (d *FormDef) fields(f *fields) {
	f.attr("OID", &d.OID)
	f.attr("Name", &d.Name)
	f.attr("Repeating", &d.Repeating)
	f.translated("Description", &d.Description)
	list(f, SpaceODM, "ItemGroupRef", &d.ItemGroupRef)
	f.raw(SpaceODM, "ArchiveLayout", &d.ArchiveLayout)
	f.raw(SpaceODM, "Alias", &d.Alias)
	list(f, SpaceOC, "FormLayoutDef", &d.FormLayoutDef)
	one(f, SpaceOC, "FormDetails", &d.FormDetails)
}

// ItemGroupRef names an item group of a form.
type ItemGroupRef struct {
	ItemGroupOID                    string
	OrderNumber                     string
	Mandatory                       string
	CollectionExceptionConditionOID string
}

func (r *ItemGroupRef) fields(f *fields) {
	f.attr("ItemGroupOID", &r.ItemGroupOID)
	f.attr("OrderNumber", &r.OrderNumber)
	f.attr("Mandatory", &r.Mandatory)
	f.attr("CollectionExceptionConditionOID", &r.CollectionExceptionConditionOID)
}

// FormLayoutDef defines a version of a form.
type FormLayoutDef struct {
	OID    string
	Status string
	URL    string
}

func (d *FormLayoutDef) fields(f *fields) {
	f.attr("OID", &d.OID)
	f.attr("Status", &d.Status)
	f.leaf(SpaceOC, "URL", &d.URL)
}

// FormDetails is what OpenClinica adds to a form. ParentFormOID is the form of which this is a version.
type FormDetails struct {
	FormOID                  string
	ParentFormOID            string
	SectionDetails           []Element
	VersionDescription       string
	RevisionNotes            string
	PresentInEventDefinition []PresentInEventDefinition
}

func (d *FormDetails) fields(f *fields) {
	f.attr("FormOID", &d.FormOID)
	f.attr("ParentFormOID", &d.ParentFormOID)
	f.raw(SpaceOC, "SectionDetails", &d.SectionDetails)
	f.leaf(SpaceOC, "VersionDescription", &d.VersionDescription)
	f.leaf(SpaceOC, "RevisionNotes", &d.RevisionNotes)
	list(f, SpaceOC, "PresentInEventDefinition", &d.PresentInEventDefinition)
}

// PresentInEventDefinition says how an event uses a version of a form.
type PresentInEventDefinition struct {
	StudyEventOID            string
	IsDefaultVersion         string
	PasswordRequired         string
	DoubleDataEntry          string
	HideCRF                  string
	ParticipantForm          string
	AllowAnonymousSubmission string
	Offline                  string
	SourceDataVerification   string
}

func (p *PresentInEventDefinition) fields(f *fields) {
	f.attr("StudyEventOID", &p.StudyEventOID)
	f.attr("IsDefaultVersion", &p.IsDefaultVersion)
	f.attr("PasswordRequired", &p.PasswordRequired)
	f.attr("DoubleDataEntry", &p.DoubleDataEntry)
	f.attr("HideCRF", &p.HideCRF)
	f.attr("ParticipantForm", &p.ParticipantForm)
	f.attr("AllowAnonymousSubmission", &p.AllowAnonymousSubmission)
	f.attr("Offline", &p.Offline)
	f.attr("SourceDataVerification", &p.SourceDataVerification)
}
