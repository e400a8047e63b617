package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aliquot/shared/biobank"
	"aliquot/shared/store"
)

// perVisit is how many specimens a visit has.
const perVisit = 10

// at is when everything was made.
var at = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func visitName(n int) string { return fmt.Sprintf("BENCH-V%07d", n) }
func label(n int) string     { return fmt.Sprintf("BENCH-S%09d", n) }

const labelPrefix, visitPrefix = "BENCH-S", "BENCH-V"

// createHeader and appendCreateRow are a plain specimen as a collecting site sends it: 15 columns, and a record item of about
// 450 bytes (import.record_bytes).
const createHeader = "CP Short Title,Visit Name,Specimen Label,Class,Type,Lineage,Anatomic Site,Laterality," +
	"Pathological Status,Collection Status,Initial Quantity,Available Quantity,Created On," +
	"Collection Event#Date and Time,Collection Event#User#Email Address\n"

func appendCreateRow(b []byte, n int) []byte {
	b = append(b, "BENCH,"...)
	b = append(b, visitName((n-1)/perVisit+1)...)
	b = append(b, ',')
	b = append(b, label(n)...)
	b = append(b, ",Fluid,Whole Blood,New,Not Specified,Not Specified,Not Specified,Collected,"...)
	b = strconv.AppendInt(b, int64(5+n%20), 10)
	b = append(b, ".5,"...)
	b = strconv.AppendInt(b, int64(1+n%4), 10)
	return append(b, ",02-03-2026 08:30,02-03-2026 08:15,lab@example.org\n"...)
}

// updateHeader and appendUpdateRow change two columns of a specimen found by its label.
const updateHeader = "Specimen Label,Available Quantity,Comments\n"

func appendUpdateRow(b []byte, n int) []byte {
	b = append(b, label(n)...)
	b = append(b, ",0."...)
	b = strconv.AppendInt(b, int64(1+n%9), 10)
	return append(b, ",thawed for the second series\n"...)
}

// writeRows writes rows 1 to n of a kind into a file.
func writeRows(path, header string, row func([]byte, int) []byte, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close() // a second Close does nothing
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.WriteString(header); err != nil {
		return err
	}
	var buf []byte
	for i := 1; i <= n; i++ {
		buf = row(buf[:0], i)
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// systemActor is who makes what is there before.
func systemActor() *biobank.Actor {
	return &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
}

// seed makes what the rows name: institute, site, the importing user, protocol, event, participant and n visits. It
// returns the user's id.
func seed(ctx context.Context, cfg aws.Config, tables store.Tables, visits int) (int64, error) {
	reg := &biobank.Registry{Store: store.NewRecords(store.NewClient(cfg), tables)}
	system := systemActor()
	protocol := biobank.ProtocolRef{ShortTitle: "BENCH"}
	site := "Lakeside Biobank"
	var user int64
	for _, d := range []biobank.Draft{
		&biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Lakeside Institute"}},
		&biobank.SiteDraft{Institute: "Lakeside Institute", Doc: biobank.SiteDoc{Name: site, Type: "Repository"}},
		&biobank.UserDraft{Institute: "Lakeside Institute", Doc: biobank.UserDoc{
			FirstName: "Lena", LastName: "Lab", EmailAddress: "lab@example.org", LoginName: "lab", DomainName: biobank.Domain,
			Type: biobank.UserInstitute, ActivityStatus: biobank.StatusActive,
		}},
		&biobank.ProtocolDraft{
			PI: biobank.UserRef{Email: "lab@example.org"}, Sites: []biobank.SiteRef{{Name: site}},
			Doc: biobank.ProtocolDoc{ShortTitle: protocol.ShortTitle, Title: "Bench Study"},
		},
		&biobank.EventDraft{Protocol: protocol, Doc: biobank.EventDoc{Label: "Baseline"}},
		&biobank.RegistrationDraft{Protocol: protocol, Site: &site, Doc: biobank.RegistrationDoc{
			PPID: "BENCH-P1", RegistrationDate: "2026-03-01",
		}},
	} {
		out, err := reg.Apply(ctx, system, at, []biobank.Change{{Op: biobank.Create, Draft: d, ID: "bench"}})
		if err == nil {
			err = out[0].Err
		}
		if err != nil {
			return 0, fmt.Errorf("make a %T: %w", d, err)
		}
		if r := out[0].Record; r.Type == biobank.User {
			user = r.ID
		}
	}
	changes := make([]biobank.Change, visits)
	for i := range changes {
		changes[i] = biobank.Change{Op: biobank.Create, ID: "bench", Draft: &biobank.VisitDraft{
			Protocol: protocol, PPID: "BENCH-P1", EventLabel: "Baseline", Site: &site,
			Doc: biobank.VisitDoc{Name: visitName(i + 1), VisitDate: at.UnixMilli(), Status: biobank.VisitComplete},
		}}
	}
	out, err := reg.Apply(ctx, system, at, changes)
	if err != nil {
		return 0, err
	}
	for i := range out {
		if out[i].Err != nil {
			return 0, fmt.Errorf("make visit %d: %w", i+1, out[i].Err)
		}
	}
	return user, nil
}
