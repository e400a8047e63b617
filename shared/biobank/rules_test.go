package biobank_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/fault"
)

// rule is a change that is refused. Each is tried through both doors.
type rule struct {
	name  string
	op    biobank.Op
	draft func() biobank.Draft
	want  string // the codes
}

// crowded is settled plus what the rules need: a closed protocol, a specimen-centric one, a second institute with a site, a
// closed event, visits in every state, specimens that are pending, closed and disabled.
func crowded(t *testing.T) (*biobanktest.Memory, *biobank.Actor) {
	t.Helper()
	m, admin := settled(t)
	r := &biobank.Registry{Store: m}
	protocol := func(title string, edit func(*biobank.ProtocolDoc)) *biobank.ProtocolDraft {
		d := &biobank.ProtocolDraft{
			PI: biobank.UserRef{ID: 2}, Sites: []biobank.SiteRef{{Name: "North Clinic"}},
			Doc: biobank.ProtocolDoc{ShortTitle: title, Title: title + " in full"},
		}
		edit(&d.Doc)
		return d
	}
	visitIn := func(status, name string) *biobank.VisitDraft {
		d := visit("P-0", name)
		d.Doc.Status = status
		return d
	}
	pending := primary("VP-0", "", 5)
	pending.Doc.Status, pending.Doc.Barcode = biobank.CollectPending, "pending"
	mustApply(
		t, r, admin,
		&biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Elsewhere"}},
		&biobank.SiteDraft{Institute: "Elsewhere", Doc: biobank.SiteDoc{Name: "Far Clinic", Type: "Laboratory", Code: "FC"}},
		protocol("Closed", func(d *biobank.ProtocolDoc) { d.ActivityStatus = "closed" }),
		protocol("Centric", func(d *biobank.ProtocolDoc) { d.SpecimenCentric = true }),
		protocol("Fitting", func(d *biobank.ProtocolDoc) {
			d.PpidFmt, d.ManualPpid, d.DraftDataEntry = "F-%03d", true, true
			d.VisitNameFmt, d.ManualVisitName = "%PPI%-%PPI_UID(2)%", true
			d.SpecimenLabelFmt, d.ManualSpecimenLabel = "L%SYS_UID(3)%", true
		}),
		&biobank.EventDraft{Protocol: blood(), Doc: biobank.EventDoc{Label: "Over", ActivityStatus: "Closed", Code: "OV"}},
		visitIn("Pending", "pending"), visitIn("missed collection", "missed"), visitIn("Not Collected", "not collected"),
		pending,
		changed(primary("VP-0", "closed", 5), func(d *biobank.SpecimenDoc) { d.ActivityStatus = "Closed" }),
		changed(primary("VP-0", "left", 5), func(d *biobank.SpecimenDoc) { d.AnatomicSite, d.Laterality = "Skin", "Left" }),
		&biobank.RegistrationDraft{
			Protocol: blood(), PMIs: []biobank.PMIRef{{Site: "North Clinic", MRN: "77"}},
			Doc: biobank.RegistrationDoc{PPID: "P-9", RegistrationDate: "2026-01-01", Barcode: "cpr", Participant: biobank.ParticipantDoc{EMPI: "empi", UID: "uid"}},
		},
		&biobank.RegistrationDraft{Protocol: biobank.ProtocolRef{ShortTitle: "Fitting"}, Doc: biobank.RegistrationDoc{PPID: "F-001", RegistrationDate: "2026-01-01"}},
	)
	return m, admin
}

func changed(d *biobank.SpecimenDraft, edit func(*biobank.SpecimenDoc)) *biobank.SpecimenDraft {
	edit(&d.Doc)
	return d
}

func specimen(edit func(*biobank.SpecimenDraft)) func() biobank.Draft {
	return func() biobank.Draft {
		d := primary("VP-0", "fresh", 5)
		edit(d)
		return d
	}
}

func aliquotOf(parent string, edit func(*biobank.SpecimenDraft)) func() biobank.Draft {
	return func() biobank.Draft {
		d := child(biobank.LineageAliquot, parent, "fresh", 1)
		edit(d)
		return d
	}
}

func cpr(edit func(*biobank.RegistrationDraft)) func() biobank.Draft {
	return func() biobank.Draft {
		d := registration("fresh")
		edit(d)
		return d
	}
}

func aVisit(edit func(*biobank.VisitDraft)) func() biobank.Draft {
	return func() biobank.Draft {
		d := visit("P-0", "fresh")
		edit(d)
		return d
	}
}

func protocolRef(title string) biobank.ProtocolRef { return biobank.ProtocolRef{ShortTitle: title} }

var tomorrow = now.Add(72 * time.Hour)

func rules() []rule {
	long := strings.Repeat("é", 256)
	huge := strings.Repeat("x", 200<<10)
	q := func(n int64) *biobank.Quantity { return biobank.Q(n) }
	set := func(label string, edit func(*biobank.SpecimenDoc)) func() biobank.Draft {
		return func() biobank.Draft {
			return &biobank.SpecimenDraft{Doc: biobank.SpecimenDoc{Label: label}, Merge: edit}
		}
	}
	setVisit := func(name string, edit func(*biobank.VisitDoc)) func() biobank.Draft {
		return func() biobank.Draft { return &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: name}, Merge: edit} }
	}
	setCpr := func(ppid string, edit func(*biobank.RegistrationDoc)) func() biobank.Draft {
		return func() biobank.Draft {
			return &biobank.RegistrationDraft{Protocol: blood(), Doc: biobank.RegistrationDoc{PPID: ppid}, Merge: edit}
		}
	}
	master := func(edit func(*biobank.MasterDraft)) func() biobank.Draft {
		return func() biobank.Draft {
			d := &biobank.MasterDraft{
				Registration: *registration("fresh"), Visit: biobank.VisitDraft{Site: ptr("North Clinic"), Doc: biobank.VisitDoc{Name: "fresh"}},
				Specimen: *collected(primary("", "fresh", 1)),
			}
			edit(d)
			return d
		}
	}
	const create, update = biobank.Create, biobank.Update
	return []rule{
		// Specimens.
		{"no visit", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitName = "" }), "SPECIMEN_VISIT_REQUIRED"},
		{"unknown visit", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitName = "none" }), "VISIT_NOT_FOUND"},
		{"unknown visit id", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitID = 99 }), "VISIT_NOT_FOUND"},
		{"a visit of another protocol", create, specimen(func(d *biobank.SpecimenDraft) { d.Protocol = made() }), "SPECIMEN_NOT_FOUND_IN_CP"},
		{"an unknown protocol", create, specimen(func(d *biobank.SpecimenDraft) { d.Protocol = protocolRef("none") }), "CP_NOT_FOUND"},
		{"another visit than the parent's", create, aliquotOf("SP-0", func(d *biobank.SpecimenDraft) { d.VisitName = "VP-1" }), "SPECIMEN_INVALID_VISIT"},
		{"another visit than the parent's by id", create, aliquotOf("SP-0", func(d *biobank.SpecimenDraft) { d.VisitID = 2 }), "SPECIMEN_INVALID_VISIT"},
		{"no label", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Label = "" }), "SPECIMEN_LABEL_REQUIRED"},
		{"a taken label", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Label = "SP-0" }), "SPECIMEN_DUP_LABEL"},
		{"a taken barcode", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Barcode = "pending" }), "SPECIMEN_DUP_BARCODE"},
		{"a label too long", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Label = long }), "COMMON_INVALID_INPUT"},
		{"an additional label too long", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.AdditionalLabel = long }), "COMMON_INVALID_INPUT"},
		{"too much of everything", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.ImageID = huge }), "COMMON_INVALID_INPUT"},
		{"no type", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Type = "" }), "SPECIMEN_TYPE_REQUIRED"},
		{"an unknown type", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Type = "Gold" }), "SPECIMEN_INVALID_SPECIMEN_TYPE"},
		{"a class that is not the type's", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Class = "Tissue" }), "SPECIMEN_INVALID_SPECIMEN_CLASS"},
		{"unknown values", create, specimen(func(d *biobank.SpecimenDraft) {
			d.Doc.AnatomicSite, d.Doc.Laterality, d.Doc.Pathology, d.Doc.Biohazards, d.Doc.Status = "x", "x", "x", []string{"x"}, "x"
		}), "SPECIMEN_INVALID_ANATOMIC_SITE,SPECIMEN_INVALID_LATERALITY,SPECIMEN_INVALID_PATHOLOGY,SPECIMEN_INVALID_BIOHAZARDS,SPECIMEN_INVALID_COLL_STATUS"},
		{"an unknown activity status", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.ActivityStatus = "gone" }), "ACTIVITY_STATUS_INVALID"},
		{"created as deleted", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.ActivityStatus = "disabled" }), "SPECIMEN_CREATE_DISABLED_NA"},
		{"an unknown lineage", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.Lineage = "Clone" }), "SPECIMEN_INVALID_LINEAGE"},
		{"negative amounts", create, specimen(func(d *biobank.SpecimenDraft) {
			d.Doc.InitialQty, d.Doc.AvailableQty, d.Doc.Concentration, d.Doc.FreezeThawCycles = q(-1), q(-2), q(-1), -1
		}), "SPECIMEN_INVALID_QTY,SPECIMEN_INVALID_QTY,SPECIMEN_INVALID_QTY,SPECIMEN_INVALID_FREEZE_THAW_CYCLES"},
		{"more available than there was", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.AvailableQty = q(6) }), "SPECIMEN_AVBL_QTY_GT_INIT_QTY"},
		{"external ids", create, specimen(func(d *biobank.SpecimenDraft) {
			d.Doc.ExternalIDs = []biobank.ExternalID{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b"}}
		}), "SPECIMEN_EXT_ID_DUP_NAME,SPECIMEN_EXT_ID_NO_NAME_VALUE"},
		{"a container", create, specimen(func(d *biobank.SpecimenDraft) { d.Location = &biobank.LocationRef{Name: "Freezer"} }), "STORAGE_CONTAINER_NOT_FOUND"},
		{"an unknown collector", create, specimen(func(d *biobank.SpecimenDraft) { d.Collector = biobank.UserRef{Email: "who@example.org"} }), "USER_NOT_FOUND"},
		{"unknown values of events", create, specimen(func(d *biobank.SpecimenDraft) {
			d.Doc.Collection = &biobank.CollectionEvent{Procedure: "x", Container: "x"}
			d.Doc.Received = &biobank.ReceivedEvent{Quality: "x"}
		}), "SPECIMEN_INVALID_COLL_PROC,SPECIMEN_INVALID_COLL_CONTAINER,SPECIMEN_INVALID_RECV_QUALITY"},
		{"created in the future", create, specimen(func(d *biobank.SpecimenDraft) { d.Doc.CreatedOn = tomorrow.UnixMilli() }), "SPECIMEN_INVALID_CREATION_DATE"},
		{"an unknown requirement", create, specimen(func(d *biobank.SpecimenDraft) { d.RequirementCode = "none" }), "SR_NOT_FOUND"},
		{"a requirement for another type", create, specimen(func(d *biobank.SpecimenDraft) { d.RequirementCode, d.Doc.Type = "WB", "Plasma" }), "SPECIMEN_REQ_TYPE_MISMATCH"},
		{"collected at a visit that is pending", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitName = "pending" }), "VISIT_COMPL_VISIT_REQ"},
		{"missed at a visit that is pending", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitName, d.Doc.Status = "pending", "Missed Collection" }), "VISIT_COMPL_OR_MISSED_VISIT_REQ"},
		{"pending at a visit that was missed", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitName, d.Doc.Status = "missed", "Pending" }), "VISIT_COMPL_OR_PENDING_VISIT_REQ"},
		{"not collected at a visit that was missed", create, specimen(func(d *biobank.SpecimenDraft) { d.VisitName, d.Doc.Status = "missed", "Not Collected" }), "VISIT_COMPL_OR_NC_VISIT_REQ"},
		// Children.
		{"no parent", create, aliquotOf("", func(*biobank.SpecimenDraft) {}), "SPECIMEN_PARENT_REQUIRED"},
		{"an unknown parent", create, aliquotOf("none", func(*biobank.SpecimenDraft) {}), "SPECIMEN_NOT_FOUND"},
		{"an aliquot without amount", create, aliquotOf("SP-0", func(d *biobank.SpecimenDraft) { d.Doc.InitialQty = nil }), "SPECIMEN_ALIQUOT_QTY_REQ"},
		{"an aliquot of another type", create, aliquotOf("SP-0", func(d *biobank.SpecimenDraft) { d.Doc.Type = "Plasma" }), "SPECIMEN_INVALID_SPECIMEN_TYPE"},
		{"an aliquot of a closed parent", create, aliquotOf("closed", func(*biobank.SpecimenDraft) {}), "SPECIMEN_PROC_NOT_ALLOWED"},
		{"another side than the parent's", create, aliquotOf("left", func(d *biobank.SpecimenDraft) {
			d.Doc.Lineage, d.Doc.Type, d.Doc.AnatomicSite, d.Doc.Laterality = biobank.LineageDerived, "Plasma", "Brain", "Right"
		}), "SPECIMEN_ANATOMIC_SITE_NOT_SAME_AS_PARENT,SPECIMEN_ANATOMIC_SITE_NOT_SAME_AS_PARENT"},
		{"an aliquot of another protocol's parent", create, aliquotOf("SP-0", func(d *biobank.SpecimenDraft) { d.Protocol = made() }), "SPECIMEN_NOT_FOUND_IN_CP"},
		{"a collected child of a pending parent", create, func() biobank.Draft {
			d := child(biobank.LineageAliquot, "", "fresh", 1)
			d.ParentID = 19
			return d
		}, "SPECIMEN_COLL_PARENT_REQ"},
		{"a child with a collection of its own", create, aliquotOf("SP-0", func(d *biobank.SpecimenDraft) { d.Collector = biobank.UserRef{ID: 2} }), "SPECIMEN_INVALID_LINEAGE"},
		// Generated and fitting labels.
		{"a label where labels are generated", create, func() biobank.Draft {
			d := child(biobank.LineageAliquot, "SP-0", "x", 1)
			return &biobank.SpecimenDraft{Protocol: made(), ParentLabel: d.ParentLabel, Doc: d.Doc}
		}, "SPECIMEN_NOT_FOUND_IN_CP"},
		// Changes of specimens.
		{"nobody is named", update, func() biobank.Draft { return &biobank.SpecimenDraft{} }, "SPECIMEN_ID_REQUIRED"},
		{"an unknown label", update, set("none", func(*biobank.SpecimenDoc) {}), "SPECIMEN_NOT_FOUND"},
		{"an unknown barcode", update, func() biobank.Draft { return &biobank.SpecimenDraft{Doc: biobank.SpecimenDoc{Barcode: "none"}} }, "SPECIMEN_NOT_FOUND"},
		{"an unknown id", update, func() biobank.Draft { return &biobank.SpecimenDraft{ID: 999} }, "SPECIMEN_NOT_FOUND"},
		{"a label too long to exist", update, set(strings.Repeat("x", 5000), func(*biobank.SpecimenDoc) {}), "SPECIMEN_NOT_FOUND"},
		{"another lineage", update, set("SP-0", func(d *biobank.SpecimenDoc) { d.Lineage = "Aliquot" }), "SPECIMEN_CANNOT_CHG_LINEAGE,SPECIMEN_INVALID_LINEAGE"},
		{"no label any more", update, set("SP-0", func(d *biobank.SpecimenDoc) { d.Label = "" }), "SPECIMEN_LABEL_REQUIRED"},
		{"another visit", update, func() biobank.Draft {
			return &biobank.SpecimenDraft{VisitName: "VP-1", Doc: biobank.SpecimenDoc{Label: "SP-0"}, Merge: func(*biobank.SpecimenDoc) {}}
		}, "SPECIMEN_VISIT_CHG_NOT_ALLOWED"},
		{"another parent", update, func() biobank.Draft {
			return &biobank.SpecimenDraft{ParentLabel: "SP-1", Doc: biobank.SpecimenDoc{Label: "AP-0"}, Merge: func(*biobank.SpecimenDoc) {}}
		}, "COMMON_INVALID_INPUT"},
		{"in another protocol", update, func() biobank.Draft {
			return &biobank.SpecimenDraft{Protocol: made(), Doc: biobank.SpecimenDoc{Label: "SP-0"}, Merge: func(*biobank.SpecimenDoc) {}}
		}, "SPECIMEN_NOT_FOUND_IN_CP"},
		{"an aliquot of another type than its parent", update, set("AP-0", func(d *biobank.SpecimenDoc) { d.Type, d.Class = "Plasma", "" }), "SPECIMEN_INVALID_SPECIMEN_TYPE"},
		{"a child from another site than its parent", update, set("DP-0", func(d *biobank.SpecimenDoc) { d.AnatomicSite = "Skin" }), "SPECIMEN_ANATOMIC_SITE_NOT_SAME_AS_PARENT"},
		{"deleted while it has children", update, set("SP-0", func(d *biobank.SpecimenDoc) { d.ActivityStatus = "disabled" }), "SPECIMEN_REF_ENTITY_FOUND"},
		{"collected without a label", update, func() biobank.Draft {
			return &biobank.SpecimenDraft{Doc: biobank.SpecimenDoc{Barcode: "pending"}, Merge: func(d *biobank.SpecimenDoc) { d.Status = "Collected" }}
		}, "SPECIMEN_LABEL_REQUIRED"},
		// Registrations.
		{"no protocol", create, cpr(func(d *biobank.RegistrationDraft) { d.Protocol = biobank.ProtocolRef{} }), "CPR_CP_REQUIRED"},
		{"an unknown protocol", create, cpr(func(d *biobank.RegistrationDraft) { d.Protocol = biobank.ProtocolRef{ID: 99} }), "CP_NOT_FOUND"},
		{"a closed protocol", create, cpr(func(d *biobank.RegistrationDraft) { d.Protocol = protocolRef("Closed") }), "CPR_CP_CLOSED"},
		{"a specimen-centric protocol", create, cpr(func(d *biobank.RegistrationDraft) { d.Protocol = protocolRef("Centric") }), "CP_OP_NOT_ALLOWED_SC"},
		{"no date, no PPID", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc = biobank.RegistrationDoc{} }), "CPR_REG_DATE_REQUIRED,CPR_PPID_REQUIRED"},
		{"registered in the future", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.RegistrationDate = "2026-03-09" }), "COMMON_DATE_GT_TODAY"},
		{"created as deleted", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.ActivityStatus = "Disabled" }), "CPR_CREATE_DISABLED_NA"},
		{"a PPID where they are generated", create, cpr(func(d *biobank.RegistrationDraft) { d.Protocol = made() }), "CPR_MANUAL_PPID_NOT_ALLOWED"},
		{"a PPID that does not fit", create, cpr(func(d *biobank.RegistrationDraft) { d.Protocol = protocolRef("Fitting") }), "CPR_INVALID_PPID"},
		{"a taken PPID", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.PPID = "P-0" }), "CPR_DUP_PPID"},
		{"a PPID too long", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.PPID = long }), "COMMON_INVALID_INPUT"},
		{"a taken barcode", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.Barcode = "cpr" }), "CPR_DUP_BARCODE"},
		{"a taken eMPI", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.Participant.EMPI = "empi" }), "CPR_DUP_REGISTRATION"},
		{"a taken National ID", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.Participant.UID = "uid" }), "CPR_DUP_REGISTRATION"},
		{"a taken MRN", create, cpr(func(d *biobank.RegistrationDraft) { d.PMIs = []biobank.PMIRef{{Site: "north clinic", MRN: "77"}} }), "CPR_DUP_REGISTRATION"},
		{"two MRNs of a site", create, cpr(func(d *biobank.RegistrationDraft) {
			d.PMIs = []biobank.PMIRef{{Site: "North Clinic", MRN: "1"}, {Site: "north clinic", MRN: "2"}}
		}), "PARTICIPANT_DUP_MRN_SITE"},
		{"an MRN of no site", create, cpr(func(d *biobank.RegistrationDraft) { d.PMIs = []biobank.PMIRef{{Site: "none", MRN: "1"}} }), "SITE_NOT_FOUND"},
		{"an unknown site", create, cpr(func(d *biobank.RegistrationDraft) { d.Site = ptr("none") }), "SITE_NOT_FOUND"},
		{"a site of another protocol", create, cpr(func(d *biobank.RegistrationDraft) { d.Site = ptr("Far Clinic") }), "CPR_NOT_CP_SITE"},
		{"a draft", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.DataEntryStatus = "draft" }), "CPR_DRAFT_NOT_ALLOWED"},
		{"unknown values", create, cpr(func(d *biobank.RegistrationDraft) {
			p := &d.Doc.Participant
			p.Gender, p.VitalStatus, p.Races, p.Ethnicities, p.EmailAddress = "x", "x", []string{"x"}, []string{"x"}, "x"
		}), "PARTICIPANT_INVALID_GENDER,PARTICIPANT_INVALID_VITAL_STATUS,PARTICIPANT_INVALID_RACE,PARTICIPANT_INVALID_ETHNICITY,PARTICIPANT_INVALID_EMAIL_ID"},
		{"born in the future", create, cpr(func(d *biobank.RegistrationDraft) { d.Doc.Participant.BirthDate = "2027-01-01" }), "PARTICIPANT_INVALID_BIRTH_DATE"},
		{"dead before birth", create, cpr(func(d *biobank.RegistrationDraft) {
			d.Doc.Participant.BirthDate, d.Doc.Participant.DeathDate, d.Doc.Participant.VitalStatus = "2000-01-02", "2000-01-01", "Dead"
		}), "PARTICIPANT_INVALID_DEATH_DATE"},
		{"an unknown PPID", update, setCpr("none", func(*biobank.RegistrationDoc) {}), "CPR_NOT_FOUND"},
		{"an unknown id", update, func() biobank.Draft { return &biobank.RegistrationDraft{ID: 99} }, "CPR_M_NOT_FOUND"},
		{"a PPID that is taken", update, setCpr("P-0", func(d *biobank.RegistrationDoc) { d.PPID = "P-1" }), "CPR_DUP_PPID"},
		{"deleted while it has visits", update, setCpr("P-0", func(d *biobank.RegistrationDoc) { d.ActivityStatus = "Disabled" }), "PARTICIPANT_REF_ENTITY_FOUND"},
		// Visits.
		{"no protocol", create, aVisit(func(d *biobank.VisitDraft) { d.Protocol = biobank.ProtocolRef{} }), "CPR_CP_REQUIRED"},
		{"no PPID", create, aVisit(func(d *biobank.VisitDraft) { d.PPID = "" }), "CPR_PPID_REQUIRED"},
		{"an unknown PPID", create, aVisit(func(d *biobank.VisitDraft) { d.PPID = "none" }), "CPR_INVALID_CP_AND_PPID"},
		{"an unknown registration", create, aVisit(func(d *biobank.VisitDraft) { d.RegistrationID = 99 }), "CPR_M_NOT_FOUND"},
		{"an unknown event", create, aVisit(func(d *biobank.VisitDraft) { d.EventLabel = "none" }), "CPE_NOT_FOUND"},
		{"an unknown event id", create, aVisit(func(d *biobank.VisitDraft) { d.EventID = 99 }), "CPE_NOT_FOUND"},
		{"an event of another protocol", create, aVisit(func(d *biobank.VisitDraft) { d.EventID = 2 }), "CPR_INVALID_CPE"},
		{"a closed event", create, aVisit(func(d *biobank.VisitDraft) { d.EventLabel, d.Site = "over", ptr("North Clinic") }), "CPE_CLOSED"},
		{"no site", create, aVisit(func(d *biobank.VisitDraft) { d.EventLabel, d.Site = "", ptr("") }), "VISIT_SITE_REQUIRED"},
		{"an unknown site", create, aVisit(func(d *biobank.VisitDraft) { d.Site = ptr("none") }), "SITE_NOT_FOUND,VISIT_SITE_REQUIRED"},
		{"no name", create, aVisit(func(d *biobank.VisitDraft) { d.Doc.Name = "" }), "VISIT_NAME_FMT_NOT_SPECIFIED"},
		{"a taken name", create, aVisit(func(d *biobank.VisitDraft) { d.Doc.Name = "VP-1" }), "VISIT_DUP_NAME"},
		{"an unknown status", create, aVisit(func(d *biobank.VisitDraft) { d.Doc.Status = "x" }), "VISIT_INVALID_STATUS"},
		{"unknown values", create, aVisit(func(d *biobank.VisitDraft) {
			d.Doc.ClinicalDiagnoses, d.Doc.ClinicalStatus, d.Doc.Cohort = []string{"x"}, "x", "x"
		}), "VISIT_INVALID_CLINICAL_DIAGNOSIS,VISIT_INVALID_CLINICAL_STATUS,VISIT_INVALID_COHORT"},
		{"missed for no reason, by nobody", create, aVisit(func(d *biobank.VisitDraft) {
			d.Doc.Status, d.Doc.MissedReason, d.MissedBy = "Missed Collection", "x", biobank.UserRef{Email: "who@example.org"}
		}), "VISIT_INVALID_MISSED_USER,VISIT_INVALID_MISSED_REASON"},
		{"in the future", create, aVisit(func(d *biobank.VisitDraft) { d.Doc.VisitDate = tomorrow.UnixMilli() }), "COMMON_DATE_GT_TODAY"},
		{"created as deleted", create, aVisit(func(d *biobank.VisitDraft) { d.Doc.ActivityStatus = "Disabled" }), "VISIT_CREATE_DISABLED_NA"},
		{"a name that does not fit", create, func() biobank.Draft {
			return &biobank.VisitDraft{Protocol: protocolRef("Fitting"), PPID: "F-001", Site: ptr("North Clinic"), Doc: biobank.VisitDoc{Name: "free"}}
		}, "VISIT_INVALID_NAME"},
		{"no name where people give fitting ones", create, func() biobank.Draft {
			return &biobank.VisitDraft{Protocol: protocolRef("Fitting"), PPID: "F-001", Site: ptr("North Clinic")}
		}, "VISIT_NAME_REQUIRED"},
		{"an unknown name", update, setVisit("none", func(*biobank.VisitDoc) {}), "VISIT_NOT_FOUND"},
		{"an unknown id", update, func() biobank.Draft { return &biobank.VisitDraft{ID: 99} }, "VISIT_NOT_FOUND"},
		{"a name that is taken", update, setVisit("VP-0", func(d *biobank.VisitDoc) { d.Name = "VP-1" }), "VISIT_DUP_NAME"},
		{"of another participant", update, func() biobank.Draft {
			return &biobank.VisitDraft{Protocol: blood(), PPID: "P-1", Doc: biobank.VisitDoc{Name: "VP-0"}, Merge: func(*biobank.VisitDoc) {}}
		}, "COMMON_INVALID_INPUT"},
		{"of another protocol", update, func() biobank.Draft {
			return &biobank.VisitDraft{Protocol: made(), Doc: biobank.VisitDoc{Name: "VP-0"}, Merge: func(*biobank.VisitDoc) {}}
		}, "VISIT_NOT_FOUND"},
		{"deleted while it has specimens", update, setVisit("VP-0", func(d *biobank.VisitDoc) { d.ActivityStatus = "Disabled" }), "SPECIMEN_REF_ENTITY_FOUND"},
		// Master rows.
		{"no protocol", create, master(func(d *biobank.MasterDraft) { d.Registration.Protocol = biobank.ProtocolRef{} }), "CP_SHORT_TITLE_REQUIRED"},
		{"no collection date", create, master(func(d *biobank.MasterDraft) { d.Specimen.Doc.Collection = nil }), "SPECIMEN_COLL_DATE_REQUIRED"},
		{"another participant's visit", create, master(func(d *biobank.MasterDraft) { d.Visit.Doc.Name = "VP-1" }), "VISIT_DUP_NAME"},
		{"another visit's specimen", create, master(func(d *biobank.MasterDraft) { d.Specimen.Doc.Label = "SP-1" }), "SPECIMEN_VISIT_CHG_NOT_ALLOWED"},
		{"a child of nobody", create, master(func(d *biobank.MasterDraft) { d.Specimen.Doc.Lineage, d.Specimen.ParentLabel = "Aliquot", "none" }), "SPECIMEN_NOT_FOUND"},
		{"a specimen that is refused", create, master(func(d *biobank.MasterDraft) { d.Specimen.Doc.Type = "Gold" }), "SPECIMEN_INVALID_SPECIMEN_TYPE"},
		// Small sets.
		{"no name", create, func() biobank.Draft { return &biobank.InstituteDraft{} }, "INSTITUTE_NAME_REQUIRED"},
		{"a taken name", create, func() biobank.Draft { return &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: " elsewhere "}} }, "INSTITUTE_DUP_NAME"},
		{"an unknown institute", update, func() biobank.Draft { return &biobank.InstituteDraft{ID: 99} }, "INSTITUTE_NOT_FOUND"},
		{"in use", update, func() biobank.Draft {
			return &biobank.InstituteDraft{ID: 1, Merge: func(d *biobank.InstituteDoc) { d.ActivityStatus = "Disabled" }}
		}, "INSTITUTE_REF_ENTITY_FOUND"},
		{"an empty site", create, func() biobank.Draft { return &biobank.SiteDraft{} }, "SITE_NAME_REQUIRED,SITE_INSTITUTE_REQUIRED,SITE_TYPE_REQUIRED"},
		{"a site of no institute", create, func() biobank.Draft {
			return &biobank.SiteDraft{Institute: "none", Doc: biobank.SiteDoc{Name: "a", Type: "x"}, Coordinators: []biobank.UserRef{{ID: 99}}}
		}, "INSTITUTE_NOT_FOUND,SITE_INVALID_TYPE,SITE_INVALID_COORDINATOR"},
		{"a taken site name", create, func() biobank.Draft {
			return &biobank.SiteDraft{Institute: "Elsewhere", Doc: biobank.SiteDoc{Name: "NORTH clinic", Type: "Laboratory"}}
		}, "SITE_DUP_NAME"},
		{"a taken site code", create, func() biobank.Draft {
			return &biobank.SiteDraft{Institute: "Elsewhere", Doc: biobank.SiteDoc{Name: "new", Code: "fc", Type: "Laboratory"}}
		}, "SITE_DUP_CODE"},
		{"a site in use", update, func() biobank.Draft {
			return &biobank.SiteDraft{ID: 1, Merge: func(d *biobank.SiteDoc) { d.ActivityStatus = "Disabled" }}
		}, "SITE_REF_ENTITY_FOUND"},
		{"an empty protocol", create, func() biobank.Draft { return &biobank.ProtocolDraft{} }, "CP_PI_REQUIRED,CP_SHORT_TITLE_REQUIRED,CP_TITLE_REQUIRED,CP_REPOSITORIES_REQUIRED"},
		{"a protocol without a site", create, func() biobank.Draft {
			return &biobank.ProtocolDraft{PI: biobank.UserRef{ID: 2}, Doc: biobank.ProtocolDoc{ShortTitle: "a", Title: "a"}}
		}, "CP_REPOSITORIES_REQUIRED"},
		{"a protocol of what is not known", create, func() biobank.Draft {
			return &biobank.ProtocolDraft{
				PI: biobank.UserRef{ID: 99}, Coordinators: []biobank.UserRef{{Login: "who"}}, Sites: []biobank.SiteRef{{Name: "none"}},
				Doc: biobank.ProtocolDoc{
					ShortTitle: "a", Title: "a", StartDate: "2026-01-02", EndDate: "2026-01-01", PpidFmt: "same", VisitNameFmt: "%VISIT_NAME%", SpecimenLabelFmt: "%PSPEC_LABEL%",
					VisitCollectionMode: "x", LabelSequenceKey: "x",
				},
			}
		}, "CP_PI_NOT_FOUND,CP_INVALID_COORDINATORS,CP_INVALID_REPOSITORIES,CP_START_DT_GT_END_DT,CP_INVALID_PPID_FMT,CP_INVALID_VISIT_NAME_FMT,CP_INVALID_SPECIMEN_LABEL_FMT,CP_INVALID_VISIT_COLL_MODE,CP_INVALID_LABEL_SEQ_KEY"},
		{"taken titles", create, func() biobank.Draft {
			return &biobank.ProtocolDraft{PI: biobank.UserRef{ID: 2}, Sites: []biobank.SiteRef{{Name: "North Clinic"}}, Doc: biobank.ProtocolDoc{ShortTitle: "blood", Title: "x"}}
		}, "CP_DUP_SHORT_TITLE"},
		{"a taken title", create, func() biobank.Draft {
			return &biobank.ProtocolDraft{PI: biobank.UserRef{ID: 2}, Sites: []biobank.SiteRef{{Name: "North Clinic"}}, Doc: biobank.ProtocolDoc{ShortTitle: "x", Title: "blood and MORE"}}
		}, "CP_DUP_TITLE"},
		{"an event of no protocol", create, func() biobank.Draft { return &biobank.EventDraft{Doc: biobank.EventDoc{Label: "a"}} }, "CPE_CP_REQUIRED"},
		{"a taken event label and code", create, func() biobank.Draft {
			return &biobank.EventDraft{Protocol: blood(), Doc: biobank.EventDoc{Label: "BASELINE", Code: "ov", Point: ptr(int64(1))}}
		}, "CPE_DUP_LABEL,CPE_DUP_CODE,CPE_POINT_UNIT_REQUIRED"},
		{"an event of what is not known", create, func() biobank.Draft {
			return &biobank.EventDraft{Protocol: blood(), DefaultSite: ptr("none"), Doc: biobank.EventDoc{PointUnit: "x", ClinicalDiagnosis: "x", ClinicalStatus: "x"}}
		}, "CPE_LABEL_REQUIRED,CPE_INVALID_POINT_UNIT,CPE_INVALID_CLINICAL_DIAGNOSIS,CPE_INVALID_CLINICAL_STATUS,SITE_NOT_FOUND"},
		{"a requirement of no event", create, func() biobank.Draft { return &biobank.RequirementDraft{Protocol: blood()} }, "SR_CPE_REQUIRED"},
		{"a requirement of an unknown event", create, func() biobank.Draft { return &biobank.RequirementDraft{EventID: 99} }, "CPE_NOT_FOUND"},
		{"an empty requirement with a taken code", create, func() biobank.Draft {
			return &biobank.RequirementDraft{Protocol: blood(), EventLabel: "Baseline", Doc: biobank.RequirementDoc{Code: "wb"}}
		}, "SR_ANATOMIC_SITE_REQUIRED,SR_COLL_CONT_REQUIRED,SR_COLL_PROC_REQUIRED,SR_DUP_CODE,SR_LATERALITY_REQUIRED,SR_PATHOLOGY_REQUIRED,SR_SPECIMEN_CLASS_REQUIRED,SR_SPECIMEN_TYPE_REQUIRED,SR_STORAGE_TYPE_REQUIRED"},
	}
}

// TestWhatIsRefused goes through the rules: by a person and by a job the same codes, and nothing is written.
func TestWhatIsRefused(t *testing.T) {
	base, admin := crowded(t)
	before := imageOf(t, base)
	for _, c := range rules() {
		draft := c.draft()
		t.Run(fmt.Sprintf("%T %s %s", draft, c.op, c.name), func(t *testing.T) {
			m := base.Clone()
			out, err := (&biobank.Registry{Store: m}).Apply(t.Context(), admin, now, []biobank.Change{{Op: c.op, ID: "r", Draft: draft}})
			if err != nil {
				t.Fatal(err)
			}
			check := func(door string, err error) {
				t.Helper()
				got := codesOf(err, strings.HasPrefix(c.want, "SR_ANATOMIC"))
				if got != c.want {
					t.Errorf("%s: %s (%v), want %s", door, got, err, c.want)
				}
				for _, f := range fault.All(err) {
					lower := strings.ToLower(f.Message)
					for _, word := range []string{"error", "exception", "sql", "stack trace"} {
						if strings.Contains(lower, word) {
							t.Errorf("the text %q says %q", f.Message, word)
						}
					}
				}
			}
			check("a person", out[0].Err)
			if d := cmp.Diff(before, imageOf(t, m)); d != "" {
				t.Errorf("a refused request wrote (-before +after):\n%s", d)
			}
			o := importOne(t, m, admin, c.op, 6, 1, c.draft())
			check("a job", o.Err)
			if d := cmp.Diff(before, imageOf(t, m)); d != "" {
				t.Errorf("a refused row wrote (-before +after):\n%s", d)
			}
		})
	}
}

// codesOf joins the codes of err, in the order in which they are told, or sorted.
func codesOf(err error, sorted bool) string {
	codes := strings.Split(fault.Codes(err), ",")
	if sorted {
		codes = sortedStrings(codes)
	}
	if err == nil {
		return ""
	}
	return strings.Join(codes, ",")
}

func sortedStrings(s []string) []string {
	out := slices.Clone(s)
	slices.Sort(out)
	return out
}
