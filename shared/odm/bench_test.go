package odm

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"testing"
	"time"
)

// benchmarkStudy has subjects of ten groups of ten items.
func benchmarkStudy(subjects int) (doc []byte, items int) {
	doc = append(doc, `<?xml version="1.0" encoding="UTF-8"?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1">
  <ClinicalData StudyOID="S_HARBOR" MetaDataVersionOID="null">
`...)
	for s := range subjects {
		doc = fmt.Appendf(doc, "    <SubjectData SubjectKey=\"SS_H%05d\" OpenClinica:StudySubjectID=\"H-%05d\">\n", s, s)
		doc = append(doc, `      <StudyEventData StudyEventOID="SE_NIGHT" OpenClinica:StartDate="2027-01-03">
        <FormData FormOID="F_SLEEP" OpenClinica:FormLayoutOID="1">
`...)
		for g := range 10 {
			doc = fmt.Appendf(doc, "          <ItemGroupData ItemGroupOID=\"IG_SLEEP\" ItemGroupRepeatKey=\"%d\">\n", g+1)
			for i := range 10 {
				doc = fmt.Appendf(doc, "            <ItemData ItemOID=\"I_SLEEP_HOURS_%d\" Value=\"%d.5\"/>\n", i, s*i)
				items++
			}
			doc = append(doc, "          </ItemGroupData>\n"...)
		}
		doc = append(doc, "        </FormData>\n      </StudyEventData>\n    </SubjectData>\n"...)
	}
	return append(doc, "  </ClinicalData>\n</ODM>\n"...), items
}

func benchRead(b *testing.B, read func(src io.Reader) (int, error)) time.Duration {
	doc, items := benchmarkStudy(1000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := read(bytes.NewReader(doc)); err != io.EOF || n != items {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(items), "ns/item")
	return b.Elapsed()
}

func BenchmarkRead(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		benchRead(b, func(src io.Reader) (n int, err error) {
			r := NewReader(src)
			for {
				p, err := r.Next()
				if err != nil {
					return n, err
				}
				if g, is := p.(*ItemGroupData); is {
					n += len(g.ItemData)
				}
			}
		})
	})
	b.Run("encoding-xml", func(b *testing.B) {
		benchRead(b, func(src io.Reader) (n int, err error) {
			d := xml.NewDecoder(src)
			for {
				t, err := d.Token()
				if err != nil {
					return n, err
				}
				if s, is := t.(xml.StartElement); is && s.Name.Local == "ItemData" {
					n++
				}
			}
		})
	})
}
