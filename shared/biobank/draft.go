package biobank

// Op is what a change asks for.
type Op string

// The operations of an import and of the API.
const (
	Create Op = "CREATE"
	Update Op = "UPDATE"
	Upsert Op = "UPSERT"
)

// Draft is what a caller sent about one object: how to find it, what it refers to by name, and the values. The drafts of
// this package are the only ones; the registry turns each into writes.
//
// Doc holds the sent values. Merge copies those that were sent onto a stored object (nil: the whole of Doc replaces it);
// what was not sent is kept, what was sent blank is cleared.
type Draft interface{ recordType() Type }

// UserRef names a user: by id, else e-mail address, else login name and domain. The zero UserRef was not sent; Clear
// asks for none.
type UserRef struct {
	ID     int64
	Email  string
	Login  string
	Domain string
	Clear  bool
}

// Sent tells whether the reference was sent at all.
func (u UserRef) Sent() bool { return u != UserRef{} }

// ProtocolRef names a protocol: by id, else title, else short title.
type ProtocolRef struct {
	ID         int64
	Title      string
	ShortTitle string
}

// Sent tells whether the reference was sent at all.
func (p ProtocolRef) Sent() bool { return p != ProtocolRef{} }

// InstituteDraft is found by ID, else Doc.Name.
type InstituteDraft struct {
	ID    int64
	Doc   InstituteDoc
	Merge func(*InstituteDoc)
}

// SiteDraft is found by ID, else Doc.Name.
type SiteDraft struct {
	ID           int64
	Institute    string
	Coordinators []UserRef // nil: not sent
	Doc          SiteDoc
	Merge        func(*SiteDoc)
	Extension    *ExtensionDraft // nil: not sent
}

// UserDraft is found by ID, else Doc.EmailAddress.
type UserDraft struct {
	ID          int64
	Institute   string
	PrimarySite string
	Grants      []GrantRef // nil: not sent
	Doc         UserDoc
	Merge       func(*UserDoc)
}

// ProtocolDraft is found by ID, else Doc.ShortTitle.
type ProtocolDraft struct {
	ID           int64
	PI           UserRef
	Coordinators []UserRef // nil: not sent
	Sites        []SiteRef // nil: not sent
	// Distributions are the distribution protocols that specimens go out by; nil: not sent.
	Distributions []DistributionRef
	// Of a new protocol only: the statements of its consent tiers, or the protocol to take them from.
	Consents       []StatementRef
	ConsentsSource ProtocolRef
	Doc            ProtocolDoc
	Merge          func(*ProtocolDoc)
	Extension      *ExtensionDraft // nil: not sent
}

// SiteRef names a site of a protocol with the code it has there.
type SiteRef struct{ Name, Code string }

// EventDraft is found by ID, else protocol and Doc.Label, else protocol and Doc.Code.
type EventDraft struct {
	ID          int64
	Protocol    ProtocolRef
	DefaultSite *string // nil: not sent
	Doc         EventDoc
	Merge       func(*EventDoc)
}

// RequirementDraft is found by ID, else protocol, event and Doc.Code.
type RequirementDraft struct {
	ID         int64
	Protocol   ProtocolRef
	EventID    int64
	EventLabel string
	ParentCode string
	// UID is what a file calls the requirement, ParentUID what it calls that which it is made from (see Tie).
	UID, ParentUID      string
	parent              *RequirementDraft
	parentMade          int64
	Collector, Receiver UserRef
	Unit                Unit // what a file says it is measured in
	Doc                 RequirementDoc
	Merge               func(*RequirementDoc)
}

// RegistrationDraft is found by ID, else protocol and Doc.PPID.
type RegistrationDraft struct {
	ID            int64
	Protocol      ProtocolRef
	ParticipantID int64           // the participant that a new registration is of, or that a stored one is given to
	Many          bool            // one of many that are registered at once, which the protocol must allow
	NoParticipant bool            // the participant, even an empty one, was not sent where it must be
	Nameless      bool            // the person is anonymized, and loses a National ID that settings ask for
	Site          *string         // nil: not sent
	PMIs          []PMIRef        // nil: not sent; empty: cleared
	Force         bool            // Disabled deletes with children
	Consents      *ConsentDetails // nil: not sent
	Doc           RegistrationDoc
	Merge         func(*RegistrationDoc)
	Extension     *ExtensionDraft // nil: not sent
}

// PMIRef is a medical record number at a named site.
type PMIRef struct{ Site, MRN string }

// VisitDraft is found by ID, else Doc.Name. Its registration is named by RegistrationID, else protocol and PPID.
type VisitDraft struct {
	ID             int64
	RegistrationID int64
	Protocol       ProtocolRef
	PPID           string
	EventID        int64
	EventLabel     string
	Site           *string // nil: not sent
	MissedBy       UserRef
	Force          bool
	// Moves tells that a stored visit goes to the registration that is named, where that is another one, and MovedAhead that
	// what lies below it is to be taken as moved before: for a check.
	Moves, MovedAhead bool
	Doc               VisitDoc
	Merge             func(*VisitDoc)
	// Fills are the requirements of specimens that are saved with the visit, which need none beside.
	Fills     []int64
	Extension *ExtensionDraft // nil: not sent
}

// SpecimenDraft is found by ID, else Doc.Label, else Doc.Barcode.
type SpecimenDraft struct {
	ID              int64
	Protocol        ProtocolRef
	VisitID         int64
	VisitName       string
	RequirementID   int64
	RequirementCode string
	ParentID        int64
	ParentLabel     string
	CreatedBy       UserRef
	Collector       UserRef
	Receiver        UserRef
	// Disposal says how the specimen is closed, where it is; Disposer by whom, the actor when not sent.
	Disposal *DisposalEvent
	Disposer UserRef
	// What happens to the parent of a new child: it is closed; it was thawed that often for it; where it is still pending,
	// it is collected with it, and so is its own parent.
	CloseParent        bool
	OpenParent         bool // whatever would close it: more children come
	ThawParent         int64
	AutoCollectParents bool
	// Location asks for a cell to be stored in; nil: not sent.
	Location *LocationRef
	Move     MoveRef
	// CheckOut keeps the cell that the specimen leaves. Holding is where it goes then, or instead of Location.
	CheckOut bool
	Holding  *LocationRef
	// NewContainer says how to make the container of Location, where there is none of its name.
	NewContainer *ContainerRef
	Unit         Unit // what a file says it is measured in
	Force        bool
	Doc          SpecimenDoc
	Merge        func(*SpecimenDoc)
	Extension    *ExtensionDraft // nil: not sent
	// begun tells that it is one of the children of a row of which some are there: whether they may be made was asked then.
	begun bool
}

// MasterDraft is participant, visit and specimen of one masterSpecimen row (reference
// openspecimen-import-query.md 2.9): all are saved or none.
type MasterDraft struct {
	Registration RegistrationDraft
	Visit        VisitDraft
	Specimen     SpecimenDraft
}

func (*InstituteDraft) recordType() Type    { return Institute }
func (*SiteDraft) recordType() Type         { return Site }
func (*UserDraft) recordType() Type         { return User }
func (*ProtocolDraft) recordType() Type     { return Protocol }
func (*EventDraft) recordType() Type        { return Event }
func (*RequirementDraft) recordType() Type  { return Requirement }
func (*RegistrationDraft) recordType() Type { return Registration }
func (*VisitDraft) recordType() Type        { return Visit }
func (*SpecimenDraft) recordType() Type     { return Specimen }
func (*MasterDraft) recordType() Type       { return Specimen }

// CountedBelow names what a draft's generated name is counted under, where the draft gives no name itself: the parent's
// name as sent. It is "" for a draft with a name of its own.
func CountedBelow(d Draft) string {
	switch d := d.(type) {
	case *SpecimenDraft:
		return d.countedBelow()
	case *VisitDraft:
		if d.Doc.Name == "" {
			return d.Protocol.ShortTitle + "\x00" + d.PPID
		}
	case *MasterDraft:
		if d.Specimen.Doc.Label == "" && d.Specimen.ParentLabel != "" {
			return d.Specimen.ParentLabel
		}
		if d.Specimen.Doc.Label == "" || d.Visit.Doc.Name == "" {
			p := &d.Registration.Doc
			return d.Registration.Protocol.ShortTitle + "\x00" + p.PPID + "\x00" + p.Participant.EMPI + "\x00" + p.Participant.UID
		}
	}
	return ""
}

func (d *SpecimenDraft) countedBelow() string {
	switch {
	case d.Doc.Label != "":
		return ""
	case d.ParentLabel != "":
		return d.ParentLabel
	}
	return d.VisitName
}
