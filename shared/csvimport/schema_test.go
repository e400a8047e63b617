package csvimport

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// The templates as section 2 of the reference lists their columns, numbered ones twice.
var templates = map[string]string{
	"cpr": `Identifier|CP Short Title|PPID|Registration Date|Registration Site|External Subject ID|Activity Status|
		Data Entry Status|Reason|First Name|Last Name|Middle Name|Email Address|Receive Emails|Phone Number|Receive SMSes|
		Consented to Receive SMSes|Date Of Birth|Death Date|Gender|Vital Status|Race#1|Race#2|Ethnicity#1|Ethnicity#2|
		National ID|eMPI|PMI#1#Site Name|PMI#1#MRN|PMI#2#Site Name|PMI#2#MRN`,
	"visit": `Identifier|CP Short Title|PPID|Event Label|Name|Visit Date|Visit Site|Visit Status|Clinical Diagnosis#1|
		Clinical Diagnosis#2|Clinical Status|Cohort|Path. Number|Path Report Name|Missed/Not Collected By#Email Address|
		Missed/Not Collected Reason|Comments|Activity Status|Reason`,
	"specimen": `Identifier|CP Short Title|Visit Name|Specimen Requirement Code|Specimen Label|Additional Label|Barcode|
		Class|Type|Lineage|Parent Specimen Label|Anatomic Site|Laterality|Pathological Status|Collection Status|
		Initial Quantity|Available Quantity|Concentration|Quantity Unit|Concentration Unit|Biohazard#1|Biohazard#2|
		Freeze/Thaw Cycles|Created On|Created By#Email Address|Image ID|External IDs#1#Name|External IDs#1#Value|
		External IDs#2#Name|External IDs#2#Value|Location#Container|Location#Row|Location#Column|Location#Position|Comments|
		Activity Status|Transfer User#Email Address|Transfer Time|Checkout|Reason|Collection Event#Date and Time|
		Collection Event#User#Email Address|Collection Event#Comments|Collection Event#Procedure|
		Collection Event#Container|Received Event#Date and Time|Received Event#User#Email Address|Received Event#Comments|
		Received Event#Quality`,
	"masterSpecimen": `CP Short Title|PPID|Registration Date|Registration Site|External Subject ID|First Name|Last Name|
		Middle Name|Email Address|Receive Emails|Phone Number|Receive SMSes|Consented to Receive SMSes|Date Of Birth|
		Death Date|Gender|Vital Status|Race#1|Race#2|Ethnicity#1|Ethnicity#2|National ID|eMPI|PMI#1#Site Name|PMI#1#MRN|
		PMI#2#Site Name|PMI#2#MRN|Event Label|Visit Name|Visit Date|Collection Site|Visit Status|Clinical Diagnosis#1|
		Clinical Diagnosis#2|Clinical Status|Path. Number|Visit Comments|Specimen Requirement Code|Specimen Label|Barcode|
		Class|Type|Lineage|Parent Specimen Label|Anatomic Site|Laterality|Pathological Status|Initial Quantity|
		Available Quantity|Concentration|Freeze/Thaw Cycles|Created On|Created By#Email Address|Image ID|Comments|
		External IDs#1#Name|External IDs#1#Value|External IDs#2#Name|External IDs#2#Value|Collection Status|Container|Row|
		Column|Position|Collection Date|Collection Procedure|Collection Container|Collector|Receiver|Received Date|
		Received Quality`,
	"cp": `Sites#1#Name|Sites#1#Code|Sites#2#Name|Sites#2#Code|Identifier|Title|Short Title|Code|PI#PI Email|
		Coordinator#1#Coordinator Email|Coordinator#2#Coordinator Email|Start Date|End Date|Ethics ID|Specimen Centric|
		Anticipated Participants Count|SOP Document URL|SOP Document Name|Store SPRs?|Extract Text from SPR PDF Docs?|
		PPID Format|Visit Name Format|Label Format|Derivative Label Format|Aliquot Label Format|User inputs PPID|
		User inputs Visit Name|User inputs Specimen Label|Close Parent Specimens|Zero Out Specimen Quantity|
		Additional Label Format|Enable Specimen Barcoding|Specimen Barcode Format|Label Sequence Key|Kit Labels|
		Show On Visit Collection|Label Pre-print Mode|Storage Site Based Access|Draft Data Entry|
		Label Print Setting#1#Lineage|Label Print Setting#1#Print Mode|Label Print Setting#1#Copies|
		Label Print Setting#2#Lineage|Label Print Setting#2#Print Mode|Label Print Setting#2#Copies|
		Container Auto Allocation Strategy|Store aliquots in the same box|Distribution Protocols#1#Short Title|
		Distribution Protocols#2#Short Title|Description URL|Activity Status`,
	"site": `Identifier|Name|Institute Name|Code|Type|Address|Coordinators#1#Email Address|Coordinators#2#Email Address|
		Activity Status`,
	"institute": `Identifier|Name|Activity Status`,
	"storageContainer": `Identifier|Display Name|Name|Barcode|Used For|Type Name|Activity Status|Site Name|
		Storage Location#Parent Container Name|Storage Location#Row|Storage Location#Column|Storage Location#Position|
		Temperature|No. of Columns|No. of Rows|Position Labeling Mode|Column Labeling Scheme|Row Labeling Scheme|
		Position Assignment|Allowed Specimen Class#1|Allowed Specimen Class#2|Allowed Specimen Type#1|
		Allowed Specimen Type#2|Allowed Collection Protocol#1|Allowed Collection Protocol#2|
		Allowed Distribution Protocol#1|Allowed Distribution Protocol#2|Stores Specimen|Comments|Reason`,
	"storageContainerType": `Identifier|Name|Name Format|Temperature|No. of Rows|No. of Columns|Position Labeling Mode|
		Row Labeling Scheme|Column Labeling Scheme|Position Assignment|Stores Specimen|Activity Status|Can Hold#Name`,
	"cpe": `Identifier|CP Short Title|Event Code|Event Point|Event Point Unit|Event Label|Clinical Diagnosis|Clinical Status|
		Default Site|Activity Status|When to Print|Print Copies|Reason`,
	"sr": `Identifier|CP Short Title|Event Label|Parent Code|Name|Code|Lineage|Specimen Class|Specimen Type|Anatomic Site|
		Laterality|Pathology|Storage Type|Initial Quantity|Concentration|Quantity Unit|Concentration Unit|
		Collector#Email Address|Collection Container|Collection Procedure|Receiver#Email Address|Label Format|
		Label Auto Print Mode|Label Print Copies|Pre-barcoded Tube|Sort Order|Default Custom Field Values|Activity Status|
		Parent UID|Unique ID|Reason`,
	"specimenAliquot": `CP Short Title|Parent Specimen Label|Specimen Labels|Specimen Barcodes|Number of Aliquots|
		Quantity per Aliquot|Class|Type|Concentration|Container|Start Row|Start Column|Start Position|Created On|
		Created By#Email Address|Freeze/Thaw Cycles|Increment Parent Freeze/Thaw Cycles|Close Parent`,
	"specimenDerivative": `CP Short Title|Parent Specimen Label|Specimen Label|Barcode|Class|Type|Collection Status|
		Pathological Status|Initial Quantity|Available Quantity|Concentration|Biohazard#1|Biohazard#2|External IDs#1#Name|
		External IDs#1#Value|External IDs#2#Name|External IDs#2#Value|Location#Container|Location#Row|Location#Column|
		Location#Position|Image ID|Comments|Created On|Created By#Email Address|Freeze/Thaw Cycles|
		Increment Parent Freeze/Thaw Cycles|Close Parent`,
	"specimenDisposal": `CP Short Title|Specimen Label|Barcode|Activity Status|Disposal Date|Disposal Reason|Comments|
		User#Email Address`,
	"containerSpecimen": `Location#Container Name|Location#Container Barcode|Location#Row|Location#Column|Location#Position|
		Specimen#Barcode`,
	"consent": `CP Short Title|PPID|Consent Date|Consent Witness#Email Address|Consent Comments|Consent Statement|
		Consent Statement Code|Consent Response|Signed Consent Form`,
	"user": `Identifier|Last Name|First Name|Domain Name|Login Name|Email Address|Institute|Primary Site|Type|Address|
		Phone Number|Activity Status|Disable Email Notifications|Manage Forms|Manage Workflows|Download Labels Print File|
		Reason`,
	"userRoles": `Identifier|Email Address|Role#1#Name|Role#1#Site Name|Role#1#CP Short Title|Role#2#Name|
		Role#2#Site Name|Role#2#CP Short Title|Reason`,
	"distributionProtocol": `Identifier|Title|Short Title|Receiving Institute|Receiving Site|PI#Email|Coordinator#1#Email|
		Coordinator#2#Email|Ethics ID|Start Date|End Date|Disable Email Notifications|Activity Status|Reason|
		Distributing Sites#1#Institute|Distributing Sites#1#Site#1|Distributing Sites#1#Site#2|
		Distributing Sites#2#Institute|Distributing Sites#2#Site#1|Distributing Sites#2#Site#2`,
}

func TestTemplates(t *testing.T) {
	for objectType, text := range templates {
		want := strings.Split(text, "|")
		for i := range want {
			want[i] = strings.TrimSpace(want[i])
		}
		s := SchemaFor(objectType)
		if s == nil || s.ObjectType() != objectType {
			t.Errorf("%s has no schema of that name", objectType)
			continue
		}
		if diff := cmp.Diff(want, s.Template()); diff != "" {
			t.Errorf("template of %s (-want +got):\n%s", objectType, diff)
		}
	}
	if s := SchemaFor("storageFreezer"); s != nil {
		t.Error("storageFreezer has a schema")
	}
}

// Whoever fills in a template gets every column read, in every operation, in any case and order.
func TestTemplatesBind(t *testing.T) {
	for objectType := range templates {
		s := SchemaFor(objectType)
		captions := s.Template()
		slices.Reverse(captions)
		for i := range captions {
			captions[i] = " " + strings.ToUpper(captions[i]) + " "
		}
		for _, op := range []biobank.Op{biobank.Create, biobank.Update, biobank.Upsert} {
			b, err := s.Bind(captions, Options{Op: op})
			if err != nil {
				t.Errorf("%s %s: %v", objectType, op, err)
				continue
			}
			if len(b.Unknown()) > 0 {
				t.Errorf("%s %s does not know %q", objectType, op, b.Unknown())
			}
			if _, err := b.Draft(make([][]byte, len(captions))); err != nil && objectType != "specimenDisposal" && objectType != "containerSpecimen" { // which must say something
				t.Errorf("%s %s of blank cells: %v", objectType, op, err)
			}
		}
	}
}

func TestLabelsAndGeneratedColumns(t *testing.T) {
	tests := []struct {
		objectType, label string
		generated         []string
	}{
		{"cpr", "Participant Registrations", []string{"OS_IDENTIFIER", "OS_PPID"}},
		{"visit", "Visits", []string{"OS_IDENTIFIER", "OS_VISIT_NAME"}},
		{"specimen", "Specimens", []string{"OS_IDENTIFIER", "OS_SPECIMEN_LABEL"}},
		{
			"masterSpecimen", "Participants, Visits, and Specimens",
			[]string{"OS_IDENTIFIER", "OS_PPID", "OS_VISIT_NAME", "OS_SPECIMEN_LABEL"},
		},
		{"cp", "Collection Protocols", []string{"OS_IDENTIFIER"}},
		{"site", "Sites", []string{"OS_IDENTIFIER"}},
		{"institute", "Institutes", []string{"OS_IDENTIFIER"}},
		{"cpe", "Collection Protocol Events", []string{"OS_IDENTIFIER"}},
		{"specimenAliquot", "Specimen Aliquots", []string{"OS_IDENTIFIER", "OS_SPECIMEN_LABEL"}},
		{"consent", "Consents", []string{"OS_IDENTIFIER", "OS_PPID"}},
	}
	for _, test := range tests {
		s := SchemaFor(test.objectType)
		if s.Label() != test.label {
			t.Errorf("%s is called %q, want %q", test.objectType, s.Label(), test.label)
		}
		if diff := cmp.Diff(test.generated, s.Generated()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.objectType, diff)
		}
	}
}
