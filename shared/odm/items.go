package odm

// ItemGroupDef defines a group of items.
type ItemGroupDef struct {
	OID              string
	Name             string
	Repeating        string
	IsReferenceData  string
	SASDatasetName   string
	Domain           string
	Origin           string
	Purpose          string
	Comment          string
	Description      []TranslatedText
	ItemRef          []ItemRef
	Alias            []Element
	ItemGroupDetails []Element
}

func (d *ItemGroupDef) fields(f *fields) {
	f.attr("OID", &d.OID)
	f.attr("Name", &d.Name)
	f.attr("Repeating", &d.Repeating)
	f.attr("IsReferenceData", &d.IsReferenceData)
	f.attr("SASDatasetName", &d.SASDatasetName)
	f.attr("Domain", &d.Domain)
	f.attr("Origin", &d.Origin)
	f.attr("Purpose", &d.Purpose)
	f.attr("Comment", &d.Comment)
	f.translated("Description", &d.Description)
	list(f, SpaceODM, "ItemRef", &d.ItemRef)
	f.raw(SpaceODM, "Alias", &d.Alias)
	f.raw(SpaceOC, "ItemGroupDetails", &d.ItemGroupDetails)
}

// ItemRef names an item of a group.
type ItemRef struct {
	ItemOID                         string
	OrderNumber                     string
	Mandatory                       string
	KeySequence                     string
	MethodOID                       string
	Role                            string
	RoleCodeListOID                 string
	CollectionExceptionConditionOID string
}

func (r *ItemRef) fields(f *fields) {
	f.attr("ItemOID", &r.ItemOID)
	f.attr("OrderNumber", &r.OrderNumber)
	f.attr("Mandatory", &r.Mandatory)
	f.attr("KeySequence", &r.KeySequence)
	f.attr("MethodOID", &r.MethodOID)
	f.attr("Role", &r.Role)
	f.attr("RoleCodeListOID", &r.RoleCodeListOID)
	f.attr("CollectionExceptionConditionOID", &r.CollectionExceptionConditionOID)
}

// ItemDef defines an item. FormOIDs is the 3.x name of FormOID, several with commas.
type ItemDef struct {
	OID                string
	Name               string
	DataType           string
	Length             string
	SignificantDigits  string
	SASFieldName       string
	SDSVarName         string
	Origin             string
	Comment            string
	BriefDescription   string
	FormOID            string
	FormOIDs           string
	Description        []TranslatedText
	Question           *Question
	ExternalQuestion   []Element
	MeasurementUnitRef []MeasurementUnitRef
	RangeCheck         []RangeCheck
	CodeListOID        string
	MultiSelectListID  string
	Role               []Element
	Alias              []Element
	ItemPresentInForm  []ItemPresentInForm // in ItemDetails
}

func (d *ItemDef) fields(f *fields) {
	f.attr("OID", &d.OID)
	f.attr("Name", &d.Name)
	f.attr("DataType", &d.DataType)
	f.attr("Length", &d.Length)
	f.attr("SignificantDigits", &d.SignificantDigits)
	f.attr("SASFieldName", &d.SASFieldName)
	f.attr("SDSVarName", &d.SDSVarName)
	f.attr("Origin", &d.Origin)
	f.attr("Comment", &d.Comment)
	f.attr("BriefDescription", &d.BriefDescription)
	f.oc("FormOID", &d.FormOID)
	f.oc("FormOIDs", &d.FormOIDs)
	f.translated("Description", &d.Description)
	one(f, SpaceODM, "Question", &d.Question)
	f.raw(SpaceODM, "ExternalQuestion", &d.ExternalQuestion)
	list(f, SpaceODM, "MeasurementUnitRef", &d.MeasurementUnitRef)
	list(f, SpaceODM, "RangeCheck", &d.RangeCheck)
	f.ref(SpaceODM, "CodeListRef", "CodeListOID", &d.CodeListOID)
	f.ref(SpaceOC, "MultiSelectListRef", "MultiSelectListID", &d.MultiSelectListID)
	f.raw(SpaceODM, "Role", &d.Role)
	f.raw(SpaceODM, "Alias", &d.Alias)
	wrapped(f, SpaceOC, "ItemDetails", owner{"ItemOID", d.OID}, SpaceOC, "ItemPresentInForm", &d.ItemPresentInForm)
}

// Question is what a form asks for an item.
type Question struct {
	QuestionNumber string
	TranslatedText []QuestionText
}

func (q *Question) fields(f *fields) {
	f.oc("QuestionNumber", &q.QuestionNumber)
	list(f, SpaceODM, "TranslatedText", &q.TranslatedText)
}

// QuestionText is a TranslatedText that stands on a line of its own.
type QuestionText TranslatedText

func (t *QuestionText) fields(f *fields) {
	f.attribute(SpaceXML, "lang", &t.Lang)
	f.textOnLines(0, &t.Text)
}

// MeasurementUnitRef names a unit of an item.
type MeasurementUnitRef struct{ MeasurementUnitOID string }

func (r *MeasurementUnitRef) fields(f *fields) { f.attr("MeasurementUnitOID", &r.MeasurementUnitOID) }

// RangeCheck is a rule about an item's value.
type RangeCheck struct {
	Comparator         string
	SoftHard           string
	CheckValue         []CheckValue
	FormalExpression   []Element
	MeasurementUnitOID string
	ErrorMessage       []TranslatedText
}

func (c *RangeCheck) fields(f *fields) {
	f.attr("Comparator", &c.Comparator)
	f.attr("SoftHard", &c.SoftHard)
	list(f, SpaceODM, "CheckValue", &c.CheckValue)
	f.raw(SpaceODM, "FormalExpression", &c.FormalExpression)
	f.ref(SpaceODM, "MeasurementUnitRef", "MeasurementUnitOID", &c.MeasurementUnitOID)
	f.translated("ErrorMessage", &c.ErrorMessage)
}

// CheckValue is a value that a RangeCheck compares with.
type CheckValue struct{ Text string }

func (c *CheckValue) fields(f *fields) { f.text(&c.Text) }

// ItemPresentInForm is what OpenClinica adds to an item in a form.
type ItemPresentInForm struct {
	FormOID                  string
	ParentItemOID            string
	ColumnNumber             string
	PageNumber               string
	DefaultValue             string
	PHI                      string
	ShowItem                 string
	OrderInForm              string
	LeftItemText             string
	RightItemText            string
	ItemHeader               string
	ItemSubHeader            string
	SectionLabel             string
	ItemResponse             *ItemResponse
	SimpleConditionalDisplay []Element
}

func (p *ItemPresentInForm) fields(f *fields) {
	f.attr("FormOID", &p.FormOID)
	f.attr("ParentItemOID", &p.ParentItemOID)
	f.attr("ColumnNumber", &p.ColumnNumber)
	f.attr("PageNumber", &p.PageNumber)
	f.attr("DefaultValue", &p.DefaultValue)
	f.attr("PHI", &p.PHI)
	f.attr("ShowItem", &p.ShowItem)
	f.attr("OrderInForm", &p.OrderInForm)
	f.leaf(SpaceOC, "LeftItemText", &p.LeftItemText)
	f.leaf(SpaceOC, "RightItemText", &p.RightItemText)
	f.leaf(SpaceOC, "ItemHeader", &p.ItemHeader)
	f.leaf(SpaceOC, "ItemSubHeader", &p.ItemSubHeader)
	f.leaf(SpaceOC, "SectionLabel", &p.SectionLabel)
	one(f, SpaceOC, "ItemResponse", &p.ItemResponse)
	f.raw(SpaceOC, "SimpleConditionalDisplay", &p.SimpleConditionalDisplay)
}

// ItemResponse says how a form asks for an item: text, radio, checkbox, file, ...
type ItemResponse struct {
	ResponseType   string
	ResponseLayout string
}

func (r *ItemResponse) fields(f *fields) {
	f.attr("ResponseType", &r.ResponseType)
	f.attr("ResponseLayout", &r.ResponseLayout)
}

// CodeList is a list of values of which an item takes one.
type CodeList struct {
	OID              string
	Name             string
	DataType         string
	SASFormatName    string
	Description      []TranslatedText
	CodeListItem     []CodeListItem
	EnumeratedItem   []EnumeratedItem
	ExternalCodeList []Element
	Alias            []Element
}

func (l *CodeList) fields(f *fields) {
	f.attr("OID", &l.OID)
	f.attr("Name", &l.Name)
	f.attr("DataType", &l.DataType)
	f.attr("SASFormatName", &l.SASFormatName)
	f.translated("Description", &l.Description)
	list(f, SpaceODM, "CodeListItem", &l.CodeListItem)
	list(f, SpaceODM, "EnumeratedItem", &l.EnumeratedItem)
	f.raw(SpaceODM, "ExternalCodeList", &l.ExternalCodeList)
	f.raw(SpaceODM, "Alias", &l.Alias)
}

// CodeListItem is a value of a CodeList and what it means.
type CodeListItem struct {
	CodedValue  string
	Rank        string
	OrderNumber string
	Decode      []TranslatedText
	Alias       []Element
}

func (i *CodeListItem) fields(f *fields) {
	f.attr("CodedValue", &i.CodedValue)
	f.attr("Rank", &i.Rank)
	f.attr("OrderNumber", &i.OrderNumber)
	f.translated("Decode", &i.Decode)
	f.raw(SpaceODM, "Alias", &i.Alias)
}

// EnumeratedItem is a value of a CodeList that means itself.
type EnumeratedItem struct {
	CodedValue  string
	Rank        string
	OrderNumber string
	Alias       []Element
}

func (i *EnumeratedItem) fields(f *fields) {
	f.attr("CodedValue", &i.CodedValue)
	f.attr("Rank", &i.Rank)
	f.attr("OrderNumber", &i.OrderNumber)
	f.raw(SpaceODM, "Alias", &i.Alias)
}

// MultiSelectList is a list of values of which an item takes several.
type MultiSelectList struct {
	ID                  string
	Name                string
	DataType            string
	ActualDataType      string
	MultiSelectListItem []MultiSelectListItem
}

func (l *MultiSelectList) fields(f *fields) {
	f.attr("ID", &l.ID)
	f.attr("Name", &l.Name)
	f.attr("DataType", &l.DataType)
	f.attr("ActualDataType", &l.ActualDataType)
	list(f, SpaceOC, "MultiSelectListItem", &l.MultiSelectListItem)
}

// MultiSelectListItem is a value of a MultiSelectList and what it means.
type MultiSelectListItem struct {
	CodedOptionValue string
	Decode           []TranslatedText
}

func (i *MultiSelectListItem) fields(f *fields) {
	f.attr("CodedOptionValue", &i.CodedOptionValue)
	f.translated("Decode", &i.Decode)
}

// StudyGroupClassList is a class of groups of subjects.
type StudyGroupClassList struct {
	ID                string
	Name              string
	Type              string
	Status            string
	SubjectAssignment string
	StudyGroupItem    []StudyGroupItem
}

func (l *StudyGroupClassList) fields(f *fields) {
	f.attr("ID", &l.ID)
	f.attr("Name", &l.Name)
	f.attr("Type", &l.Type)
	f.attr("Status", &l.Status)
	f.attr("SubjectAssignment", &l.SubjectAssignment)
	list(f, SpaceOC, "StudyGroupItem", &l.StudyGroupItem)
}

// StudyGroupItem is a group of a class.
type StudyGroupItem struct {
	Name        string
	Description string
}

func (i *StudyGroupItem) fields(f *fields) {
	f.attr("Name", &i.Name)
	f.attr("Description", &i.Description)
}
