package odm_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"aliquot/shared/odm"
)

// An import looks at each item group with what it lies in.
func ExampleReader() {
	const document = `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1">
  <ClinicalData StudyOID="S_HARBOR">
    <SubjectData OpenClinica:StudySubjectID="H-001">
      <StudyEventData StudyEventOID="SE_NIGHT">
        <FormData FormOID="F_SLEEP">
          <ItemGroupData ItemGroupOID="IG_SLEEP" ItemGroupRepeatKey="1">
            <ItemData ItemOID="I_SLEEP_HOURS" Value="7.5"/>
            <ItemData ItemOID="I_SLEEP_NOTE"/>
          </ItemGroupData>
        </FormData>
      </StudyEventData>
    </SubjectData>
  </ClinicalData>
</ODM>`
	var subject, event, form string
	r := odm.NewReader(strings.NewReader(document))
	for {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var fault *odm.Fault
		if errors.As(err, &fault) {
			fmt.Println("the document is not valid:", fault)
			return
		}
		if err != nil {
			fmt.Println("the document could not be fetched:", err)
			return
		}
		switch p := part.(type) {
		case *odm.SubjectData:
			subject = p.StudySubjectID
		case *odm.StudyEventData:
			event = p.StudyEventOID
		case *odm.FormData:
			form = p.FormOID
		case *odm.ItemGroupData:
			for _, item := range p.ItemData {
				if item.NoValue {
					fmt.Println(subject, event, form, p.ItemGroupOID, item.ItemOID, "has no value")
					continue
				}
				fmt.Println(subject, event, form, p.ItemGroupOID, item.ItemOID, item.Value)
			}
		case odm.End:
			if p == odm.EndFormData {
				fmt.Println(form, "ends")
			}
		}
	}
	// Output:
	// H-001 SE_NIGHT F_SLEEP IG_SLEEP I_SLEEP_HOURS 7.5
	// H-001 SE_NIGHT F_SLEEP IG_SLEEP I_SLEEP_NOTE has no value
	// F_SLEEP ends
}

// A retrieval writes the same parts, as XML or as JSON.
func ExampleWriter() {
	w := odm.NewJSONWriter(os.Stdout, odm.JSON{})
	for _, part := range []odm.Part{
		&odm.ODM{FileOID: "F_1"},
		odm.Coming(1),
		&odm.ClinicalData{StudyOID: "S_HARBOR", MetaDataVersionOID: "null"},
		&odm.SubjectData{SubjectKey: "SS_H001", EnrollmentDate: "2027-01-02"},
		odm.EndSubjectData,
		&odm.SubjectData{SubjectKey: "SS_H002"},
		odm.EndSubjectData,
		odm.EndClinicalData,
	} {
		if err := w.Write(part); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {
	//   "@xmlns": "http://www.cdisc.org/ns/odm/v1.3",
	//   "@xmlns:OpenClinica": "http://www.openclinica.org/ns/odm_ext_v130/v3.1",
	//   "@xmlns:OpenClinicaRules": "http://www.openclinica.org/ns/rules/v3.1",
	//   "@xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
	//   "@FileOID": "F_1",
	//   "@xsi:schemaLocation": "http://www.cdisc.org/ns/odm/v1.3 OpenClinica-ODM1-3-0-OC3-0.xsd",
	//   "ClinicalData": {
	//     "@StudyOID": "S_HARBOR",
	//     "@MetaDataVersionOID": null,
	//     "SubjectData": [
	//       {
	//         "@SubjectKey": "SS_H001",
	//         "@OpenClinica:EnrollmentDate": "02-Jan-2027"
	//       },
	//       {
	//         "@SubjectKey": "SS_H002"
	//       }
	//     ]
	//   }
	// }
}
