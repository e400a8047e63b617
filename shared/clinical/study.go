package clinical

// Study is a study, or a site of one: a study of its own on the wire, with a parent.
type Study struct {
	OID    string `json:"oid"`
	Name   string `json:"name"`
	Unique string `json:"unique"` // unique protocol id: part of the names of logs
	// Parent is the id of the study that a site belongs to, 0 for a study.
	Parent int64  `json:"parent,omitempty"`
	Status Status `json:"status"`
	// Production tells that a study is published for use: its metadata may no longer change in ways that stored data do not
	// fit (section 8.1).
	Production bool `json:"production,omitempty"`
	// Version is the number of the newest metadata, 0 for none, and Object the key of their ODM. A site has its study's.
	Version int    `json:"version,omitempty"`
	Object  string `json:"object,omitempty"`
}

// Status is the state of a study.
type Status string

// The states of a study. Only one that is available takes data.
const (
	Design    Status = "Design"
	Available Status = "Available"
	Frozen    Status = "Frozen"
	Locked    Status = "Locked"
	Removed   Status = "Removed"
)

// Role is what a user may do in a study or at a site (section 1.3). A custom role is one of these by another name.
type Role string

// The roles.
const (
	DataManager      Role = "Data Manager"
	DataEntryPerson  Role = "Data Entry Person"
	DataSpecialist   Role = "Data Specialist"
	Investigator     Role = "Investigator"
	ClinicalResearch Role = "Clinical Research Coordinator"
	Monitor          Role = "Monitor"
	Viewer           Role = "Viewer"
)

// Imports tells whether the role may change data.
func (r Role) Imports() bool {
	switch r {
	case DataManager, DataEntryPerson, DataSpecialist, Investigator, ClinicalResearch:
		return true
	}
	return false
}

// Grant gives a user a role in a study, or at a site, by its id.
type Grant struct {
	Study int64 `json:"study"`
	// Of is the id of the study that the site belongs to, 0 for a study.
	Of   int64  `json:"of,omitempty"`
	Role Role   `json:"role"`
	Name string `json:"name,omitempty"` // of a custom role
}
