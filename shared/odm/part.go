package odm

// Part is one piece of a document. Documents are read and written as a stream of parts in the order of the wire:
//
//	ODM
//	  Study*, AdminData*                     whole
//	  ClinicalData
//	    SubjectData
//	      StudyEventData
//	        Signature*                       whole
//	        FormData
//	          ItemGroupData*                 whole, with its items, their audits and notes
//	          AuditLogs, DiscrepancyNotes    of the form, whole
//	        EndFormData
//	        AuditLogs, DiscrepancyNotes      of the event
//	      EndStudyEventData
//	      SubjectGroupData*
//	      AuditLogs, DiscrepancyNotes        of the subject
//	    EndSubjectData
//	  EndClinicalData
//
// The types are *ODM, *Study, *AdminData, *ClinicalData, *SubjectData, *StudyEventData, *FormData, *ItemGroupData,
// *Signature, *SubjectGroupData, *AuditLogs, *DiscrepancyNotes and End. Writers take Coming, too, anywhere.
type Part interface {
	element
	place() place
}

// End ends an element whose children are parts of their own.
type End uint8

// The ends.
const (
	EndClinicalData   End = End(inClinicalData)
	EndSubjectData    End = End(inSubjectData)
	EndStudyEventData End = End(inStudyEventData)
	EndFormData       End = End(inFormData)
)

// Coming tells a Writer how many of the data that the open element is for will follow in it: ClinicalData in the ODM,
// SubjectData in those, and so on down to ItemGroupData; 0 is for unknown. More than two may be told as two.
//
// It is not part of the document, and XML has no use for it. In JSON one child of a name is an object and several are an
// array, so the first of each name is held back in memory until it ends or a second one begins, unless that was told before.
// Whoever writes what may be large tells it; what then does not hold is an error of Write or Close.
type Coming int

// coming is what Coming speaks of, by the level of the open element.
var coming = [...]string{
	inODM: "ClinicalData", inClinicalData: "SubjectData", inSubjectData: "StudyEventData", inStudyEventData: "FormData",
	inFormData: "ItemGroupData",
}

// place says where a part stands.
type place struct {
	in    level
	rank  rank // among the parts in that level
	space Space
	name  string
}

// rank is the order of the parts in a level (section 6.5).
type rank uint8

const (
	rankFirst rank = iota
	rankData
	rankGroups
	rankAudits
	rankNotes
)

// inOpen stands for whatever is open, from SubjectData on.
const inOpen level = 255

func (*ODM) place() place          { return place{in: inDocument, rank: rankData, name: "ODM"} }
func (*Study) place() place        { return place{in: inODM, rank: rankFirst, name: "Study"} }
func (*AdminData) place() place    { return place{in: inODM, rank: rankData, name: "AdminData"} }
func (*ClinicalData) place() place { return place{in: inODM, rank: rankGroups, name: "ClinicalData"} }

func (*SubjectData) place() place {
	return place{in: inClinicalData, rank: rankData, name: "SubjectData"}
}

func (*StudyEventData) place() place {
	return place{in: inSubjectData, rank: rankData, name: "StudyEventData"}
}

func (*SubjectGroupData) place() place {
	return place{in: inSubjectData, rank: rankGroups, space: SpaceOC, name: "SubjectGroupData"}
}

func (*Signature) place() place {
	return place{in: inStudyEventData, rank: rankFirst, name: "Signature"}
}

func (*FormData) place() place { return place{in: inStudyEventData, rank: rankData, name: "FormData"} }

func (*ItemGroupData) place() place {
	return place{in: inFormData, rank: rankData, name: "ItemGroupData"}
}

func (*AuditLogs) place() place {
	return place{in: inOpen, rank: rankAudits, space: SpaceOC, name: "AuditLogs"}
}

func (*DiscrepancyNotes) place() place {
	return place{in: inOpen, rank: rankNotes, space: SpaceOC, name: "DiscrepancyNotes"}
}

func (e End) place() place { return place{in: level(e)} }
func (End) fields(*fields) {}

func (Coming) place() place   { return place{in: inOpen} }
func (Coming) fields(*fields) {}
