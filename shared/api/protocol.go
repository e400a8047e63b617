package api

import (
	"cmp"

	"aliquot/shared/biobank"
)

// Collection protocols (reference openspecimen-rest.md section 9).

// defaultAliquotFmt is what aliquots are called where the protocol says nothing.
const defaultAliquotFmt = "%PSPEC_LABEL%_%PSPEC_UID%"

func protocolRoutes() []route {
	return []route{
		getRoute("/collection-protocols", biobank.Protocol, showProtocol),
		createRoute("/collection-protocols", protocolDraft, showProtocol),
	}
}

func protocolDraft(in *input) biobank.Draft {
	d := &biobank.ProtocolDraft{
		PI:           in.userRef("principalInvestigator"),
		Coordinators: in.userRefs("coordinators"),
		Doc: biobank.ProtocolDoc{
			ShortTitle: in.text("shortTitle"), Title: in.text("title"), Code: in.text("code"),
			StartDate: in.day("startDate"), EndDate: in.day("endDate"), IrbID: in.text("irbId"),
			DescriptionURL: in.text("descriptionUrl"), SopDocumentURL: in.text("sopDocumentUrl"),
			SopDocumentName: in.text("sopDocumentName"), AnticipatedParticipants: in.number("anticipatedParticipantsCount"),
			PpidFmt: in.text("ppidFmt"), ManualPpid: in.flag("manualPpidEnabled"),
			VisitNameFmt: in.text("visitNameFmt"), ManualVisitName: in.flag("manualVisitNameEnabled"),
			SpecimenLabelFmt: in.text("specimenLabelFmt"), DerivativeLabelFmt: in.text("derivativeLabelFmt"),
			AliquotLabelFmt: in.text("aliquotLabelFmt"), AdditionalLabelFmt: in.text("additionalLabelFmt"),
			ManualSpecimenLabel: in.flag("manualSpecLabelEnabled"), SpecimenBarcodeFmt: in.text("specimenBarcodeFmt"),
			BarcodingEnabled: in.flag("barcodingEnabled"), LabelSequenceKey: in.text("labelSequenceKey"),
			VisitCollectionMode: in.text("visitCollectionMode"), VisitNamePrintMode: in.text("visitNamePrintMode"),
			VisitNamePrintCopies: in.number("visitNamePrintCopies"), LabelPrePrintMode: in.text("spmnLabelPrePrintMode"),
			SpecimenCentric: in.flag("specimenCentric"), ConsentsWaived: in.flag("consentsWaived"),
			VisitLevelConsents: in.flag("visitLevelConsents"), CloseParentSpecimens: in.flag("closeParentSpecimens"),
			SetQtyToZero: in.flag("setQtyToZero"), ContainerSelection: in.text("containerSelectionStrategy"),
			AliquotsInSameContainer: in.flag("aliquotsInSameContainer"),
			StorageSiteBasedAccess:  in.flag("storageSiteBasedAccess"), StoreSpr: in.flag("storeSprEnabled"),
			ExtractSprText: in.flag("extractSprText"), KitLabels: in.flag("kitLabelsEnabled"),
			DraftDataEntry: in.flag("draftDataEntry"), ActivityStatus: in.text("activityStatus"),
		},
	}
	for _, s := range in.objects("cpSites") {
		d.Sites = append(d.Sites, biobank.SiteRef{Name: s.text("siteName"), Code: s.text("code")})
	}
	for _, s := range in.objects("spmnLabelPrintSettings") {
		d.Doc.LabelPrintSettings = append(d.Doc.LabelPrintSettings, biobank.PrintSetting{
			Lineage: s.text("lineage"), PrintMode: s.text("printMode"), Copies: s.number("copies"),
		})
	}
	return d
}

// protocolView leaves its nulls out.
type protocolView struct {
	ID                      int64              `json:"id"`
	ShortTitle              string             `json:"shortTitle"`
	Title                   string             `json:"title"`
	Code                    *string            `json:"code,omitempty"`
	PrincipalInvestigator   *userSummary       `json:"principalInvestigator,omitempty"`
	StartDate               *int64             `json:"startDate,omitempty"`
	EndDate                 *int64             `json:"endDate,omitempty"`
	Coordinators            []userSummary      `json:"coordinators"`
	CPSites                 []protocolSiteView `json:"cpSites"`
	IrbID                   *string            `json:"irbId,omitempty"`
	AnticipatedParticipants *int64             `json:"anticipatedParticipantsCount,omitempty"`
	SopDocumentURL          *string            `json:"sopDocumentUrl,omitempty"`
	SopDocumentName         *string            `json:"sopDocumentName,omitempty"`
	DescriptionURL          *string            `json:"descriptionUrl,omitempty"`
	SpecimenCentric         bool               `json:"specimenCentric"`
	ConsentsWaived          bool               `json:"consentsWaived"`
	VisitLevelConsents      bool               `json:"visitLevelConsents"`
	PpidFmt                 *string            `json:"ppidFmt,omitempty"`
	ManualPpid              bool               `json:"manualPpidEnabled"`
	VisitNameFmt            *string            `json:"visitNameFmt,omitempty"`
	ManualVisitName         bool               `json:"manualVisitNameEnabled"`
	SpecimenLabelFmt        *string            `json:"specimenLabelFmt,omitempty"`
	DerivativeLabelFmt      *string            `json:"derivativeLabelFmt,omitempty"`
	AliquotLabelFmt         *string            `json:"aliquotLabelFmt,omitempty"`
	AliquotLabelFmtToUse    string             `json:"aliquotLabelFmtToUse"`
	AdditionalLabelFmt      *string            `json:"additionalLabelFmt,omitempty"`
	ManualSpecimenLabel     bool               `json:"manualSpecLabelEnabled"`
	BarcodingEnabled        bool               `json:"barcodingEnabled"`
	SpecimenBarcodeFmt      *string            `json:"specimenBarcodeFmt,omitempty"`
	SpecimenBarcodeFmtToUse *string            `json:"specimenBarcodeFmtToUse,omitempty"`
	LabelSequenceKey        *string            `json:"labelSequenceKey,omitempty"`
	ContainerSelection      *string            `json:"containerSelectionStrategy,omitempty"`
	AliquotsInSameContainer bool               `json:"aliquotsInSameContainer"`
	VisitCollectionMode     *string            `json:"visitCollectionMode,omitempty"`
	VisitNamePrintMode      *string            `json:"visitNamePrintMode,omitempty"`
	VisitNamePrintCopies    *int64             `json:"visitNamePrintCopies,omitempty"`
	LabelPrePrintMode       *string            `json:"spmnLabelPrePrintMode,omitempty"`
	LabelPrintSettings      []printSettingView `json:"spmnLabelPrintSettings"`
	CloseParentSpecimens    bool               `json:"closeParentSpecimens"`
	SetQtyToZero            bool               `json:"setQtyToZero"`
	StoreSpr                bool               `json:"storeSprEnabled"`
	ExtractSprText          bool               `json:"extractSprText"`
	KitLabels               bool               `json:"kitLabelsEnabled"`
	DraftDataEntry          bool               `json:"draftDataEntry"`
	StorageSiteBasedAccess  bool               `json:"storageSiteBasedAccess"`
	DistributionProtocols   []string           `json:"distributionProtocols"`
	ActivityStatus          string             `json:"activityStatus"`
}

type protocolSiteView struct {
	ID       int64   `json:"id"`
	SiteName *string `json:"siteName,omitempty"`
	Code     *string `json:"code,omitempty"`
}

type printSettingView struct {
	Lineage   string  `json:"lineage"`
	PrintMode *string `json:"printMode,omitempty"`
	Copies    *int64  `json:"copies,omitempty"`
}

func showProtocol(c *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil {
		return nil, err
	}
	r := c.related()
	if err := r.fetchUsers(append([]int64{doc.PI}, doc.Coordinators...)...); err != nil {
		return nil, err
	}
	var keys []biobank.Key
	for _, s := range doc.Sites {
		keys = append(keys, setKey(biobank.Site, s.SiteID))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	v := protocolView{
		ID: rec.ID, ShortTitle: doc.ShortTitle, Title: doc.Title, Code: orNull(doc.Code),
		StartDate: dayMillis(doc.StartDate), EndDate: dayMillis(doc.EndDate), CPSites: []protocolSiteView{},
		IrbID: orNull(doc.IrbID), AnticipatedParticipants: orNull(doc.AnticipatedParticipants),
		SopDocumentURL: orNull(doc.SopDocumentURL), SopDocumentName: orNull(doc.SopDocumentName),
		DescriptionURL: orNull(doc.DescriptionURL), SpecimenCentric: doc.SpecimenCentric, ConsentsWaived: doc.ConsentsWaived,
		VisitLevelConsents: doc.VisitLevelConsents, PpidFmt: orNull(doc.PpidFmt), ManualPpid: doc.ManualPpid,
		VisitNameFmt: orNull(doc.VisitNameFmt), ManualVisitName: doc.ManualVisitName,
		SpecimenLabelFmt: orNull(doc.SpecimenLabelFmt), DerivativeLabelFmt: orNull(doc.DerivativeLabelFmt),
		AliquotLabelFmt: orNull(doc.AliquotLabelFmt), AliquotLabelFmtToUse: cmp.Or(doc.AliquotLabelFmt, defaultAliquotFmt),
		AdditionalLabelFmt: orNull(doc.AdditionalLabelFmt), ManualSpecimenLabel: doc.ManualSpecimenLabel,
		BarcodingEnabled: doc.BarcodingEnabled, SpecimenBarcodeFmt: orNull(doc.SpecimenBarcodeFmt),
		SpecimenBarcodeFmtToUse: orNull(doc.SpecimenBarcodeFmt), LabelSequenceKey: orNull(doc.LabelSequenceKey),
		ContainerSelection: orNull(doc.ContainerSelection), AliquotsInSameContainer: doc.AliquotsInSameContainer,
		VisitCollectionMode: orNull(doc.VisitCollectionMode), VisitNamePrintMode: orNull(doc.VisitNamePrintMode),
		VisitNamePrintCopies: orNull(doc.VisitNamePrintCopies), LabelPrePrintMode: orNull(doc.LabelPrePrintMode),
		LabelPrintSettings: []printSettingView{}, CloseParentSpecimens: doc.CloseParentSpecimens,
		SetQtyToZero: doc.SetQtyToZero, StoreSpr: doc.StoreSpr, ExtractSprText: doc.ExtractSprText, KitLabels: doc.KitLabels,
		DraftDataEntry: doc.DraftDataEntry, StorageSiteBasedAccess: doc.StorageSiteBasedAccess,
		DistributionProtocols: orEmpty(doc.DistributionProtocols), ActivityStatus: doc.ActivityStatus,
	}
	if v.PrincipalInvestigator, err = r.summary(doc.PI); err != nil {
		return nil, err
	}
	if v.Coordinators, err = r.summaries(doc.Coordinators); err != nil {
		return nil, err
	}
	for _, s := range doc.Sites {
		name, err := r.siteName(s.SiteID)
		if err != nil {
			return nil, err
		}
		v.CPSites = append(v.CPSites, protocolSiteView{ID: s.SiteID, SiteName: name, Code: orNull(s.Code)})
	}
	for _, s := range doc.LabelPrintSettings {
		v.LabelPrintSettings = append(v.LabelPrintSettings, printSettingView{s.Lineage, orNull(s.PrintMode), orNull(s.Copies)})
	}
	return v, nil
}
