package csvimport

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDatePatternRefusals(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"dd/MM/YYYY", "the year of a date is written yyyy"},
		{"DD/MM/yyyy", "the day of the month is written dd"},
		{"dd/MM/yyy", "neither yyyy nor yy"},
		{"dd/MM/yyyyy", "neither yyyy nor yy"},
		{"ddd/MM/yyyy", "3 times d"},
		{"dd/MMMMM/yyyy", "none of M, MM, MMM, MMMM"},
		{"dd/MM/yyyy XXX", "letter X"},
		{"dd/MM/yyyyTHH", "letter T"},
		{"dd'MM", "quote that is not closed"},
		{"dd/dd/yyyy", "the day twice"},
		{"MMM/MM/yyyy", "the month twice"},
		{"yy/yyyy", "the year twice"},
		{"HH:hh", "the hour twice"},
		{"dMyyyy", "leaves open where a number ends"},
		{"Hmm", "leaves open where a number ends"},
		{"ss.SS", "neither S nor SSS"},
		{"EEEEE", "neither EEE nor EEEE"},
		{strings.Repeat("-", 65), "longer than 64"},
	}
	for _, test := range tests {
		if _, err := ParseDateFormat(test.pattern); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.pattern, err, test.want)
		}
	}
}

func TestJobFormatRefusals(t *testing.T) {
	tests := []struct{ date, time, code, want string }{
		{"dd-mm-yyyy", "", codeDateFormat, "months are written MM"},
		{"dd-yyyy", "", codeDateFormat, "no month"},
		{"MM-yyyy", "", codeDateFormat, "no day"},
		{"dd-MM", "", codeDateFormat, "no year"},
		{"dd-MM-yyyy hh:mm", "", codeDateFormat, "needs a together with hh"},
		{"nonsense", "", codeDateFormat, "letter n"},
		{"", "mm", codeTimeFormat, "no hour"},
		{"", "hh:mm", codeTimeFormat, "needs a together with hh"},
		{"", "HH:mm a", codeTimeFormat, "needs a together with hh"},
		{"", "HH:MM", codeTimeFormat, "minutes are written mm"},
		{"", "HH:mm dd", codeTimeFormat, "parts of a date"},
		{"", "HH:mm'", codeTimeFormat, "quote"},
	}
	for _, test := range tests {
		_, err := SchemaFor("visit").Bind([]string{"CP Short Title", "PPID"},
			Options{DateFormat: test.date, TimeFormat: test.time})
		wantFault(t, err, test.code, test.want)
	}
}

func TestParseDate(t *testing.T) {
	utc := time.UTC
	at := func(y, mo, d, h, mi, s, ms int) time.Time {
		return time.Date(y, time.Month(mo), d, h, mi, s, ms*1e6, utc)
	}
	tests := []struct {
		pattern, text string
		want          time.Time // zero: refused
	}{
		// Strict: the text matches in full.
		{"MM-dd-yyyy", "1/2/2020", time.Time{}},
		{"MM-dd-yyyy", "1-2-2020", time.Time{}},
		{"MM-dd-yyyy", "01-02-20", time.Time{}},
		{"MM-dd-yyyy", "01-02-2020 ", time.Time{}},
		{"MM-dd-yyyy", " 01-02-2020", time.Time{}},
		{"MM-dd-yyyy", "01-02-20201", time.Time{}},
		{"MM-dd-yyyy", "", time.Time{}},
		{"MM-dd-yyyy", "13-02-2020", time.Time{}},
		{"MM-dd-yyyy", "00-02-2020", time.Time{}},
		{"MM-dd-yyyy", "01-00-2020", time.Time{}},
		{"MM-dd-yyyy", "01-02-0000", time.Time{}},
		{"MM-dd-yyyy", "04-31-2020", time.Time{}},
		{"MM-dd-yyyy", "02-29-2021", time.Time{}},
		{"MM-dd-yyyy", "02-29-1900", time.Time{}},
		{"MM-dd-yyyy", "0１-02-2020", time.Time{}}, // a wide digit
		{"MM-dd-yyyy", "02-29-2000", at(2000, 2, 29, 0, 0, 0, 0)},
		{"MM-dd-yyyy", "02-29-2020", at(2020, 2, 29, 0, 0, 0, 0)},
		{"MM-dd-yyyy", "01-02-2020", at(2020, 1, 2, 0, 0, 0, 0)},
		{"dd-MM-yyyy", "01-02-1890", at(1890, 2, 1, 0, 0, 0, 0)},
		{"dd-MM-yyyy", "31-12-9999", at(9999, 12, 31, 0, 0, 0, 0)},
		{"dd-MM-yyyy", "01-01-0002", at(2, 1, 1, 0, 0, 0, 0)},
		{"M/d/yyyy", "1/2/2020", at(2020, 1, 2, 0, 0, 0, 0)},
		{"M/d/yyyy", "11/12/2020", at(2020, 11, 12, 0, 0, 0, 0)},
		{"M/d/yyyy", "01/02/2020", at(2020, 1, 2, 0, 0, 0, 0)},
		{"M/d/yyyy", "001/2/2020", time.Time{}},
		{"M/d/yyyy", "/2/2020", time.Time{}},
		{"yyyyMMdd", "20200102", at(2020, 1, 2, 0, 0, 0, 0)},
		{"yyyyMMdd", "2020012", time.Time{}},
		{"yyyyMMddHHmmss", "20200102030405", at(2020, 1, 2, 3, 4, 5, 0)},
		{"d.M.y", "2.1.2020", at(2020, 1, 2, 0, 0, 0, 0)},
		// Two digits of a year mean the same in every year of reading.
		{"dd/MM/yy", "01/02/45", at(2045, 2, 1, 0, 0, 0, 0)},
		{"dd/MM/yy", "01/02/46", at(1946, 2, 1, 0, 0, 0, 0)},
		{"dd/MM/yy", "01/02/99", at(1999, 2, 1, 0, 0, 0, 0)},
		{"dd/MM/yy", "01/02/00", at(2000, 2, 1, 0, 0, 0, 0)},
		{"dd/MM/yy", "01/02/1999", time.Time{}},
		// Names.
		{"dd MMM yyyy", "02 Jan 2020", at(2020, 1, 2, 0, 0, 0, 0)},
		{"dd MMM yyyy", "02 SEP 2020", at(2020, 9, 2, 0, 0, 0, 0)},
		{"dd MMM yyyy", "02 September 2020", time.Time{}},
		{"dd MMM yyyy", "02 Jax 2020", time.Time{}},
		{"dd MMMM yyyy", "02 september 2020", at(2020, 9, 2, 0, 0, 0, 0)},
		{"dd MMMM yyyy", "02 Sep 2020", time.Time{}},
		{"dd-MMM-yy", "02-may-20", at(2020, 5, 2, 0, 0, 0, 0)},
		{"EEE dd.MM.yyyy", "Thu 02.01.2020", at(2020, 1, 2, 0, 0, 0, 0)},
		{"EEE dd.MM.yyyy", "Wed 02.01.2020", time.Time{}},
		{"EEEE, d MMMM yyyy", "Thursday, 2 January 2020", at(2020, 1, 2, 0, 0, 0, 0)},
		// Times.
		{"dd-MM-yyyy HH:mm", "02-01-2020 23:59", at(2020, 1, 2, 23, 59, 0, 0)},
		{"dd-MM-yyyy HH:mm", "02-01-2020 24:00", time.Time{}},
		{"dd-MM-yyyy HH:mm", "02-01-2020 23:60", time.Time{}},
		{"dd-MM-yyyy HH:mm", "02-01-2020 3:00", time.Time{}},
		{"dd-MM-yyyy HH:mm", "02-01-2020", time.Time{}},
		{"dd-MM-yyyy H:mm", "02-01-2020 3:00", at(2020, 1, 2, 3, 0, 0, 0)},
		{"dd-MM-yyyy kk:mm", "02-01-2020 24:00", at(2020, 1, 2, 0, 0, 0, 0)},
		{"dd-MM-yyyy kk:mm", "02-01-2020 00:00", time.Time{}},
		{"dd-MM-yyyy hh:mm a", "02-01-2020 12:30 AM", at(2020, 1, 2, 0, 30, 0, 0)},
		{"dd-MM-yyyy hh:mm a", "02-01-2020 12:30 pm", at(2020, 1, 2, 12, 30, 0, 0)},
		{"dd-MM-yyyy hh:mm a", "02-01-2020 13:30 PM", time.Time{}},
		{"dd-MM-yyyy hh:mm a", "02-01-2020 00:30 AM", time.Time{}},
		{"dd-MM-yyyy KK:mm a", "02-01-2020 00:30 PM", at(2020, 1, 2, 12, 30, 0, 0)},
		{"dd-MM-yyyy HH:mm:ss.SSS", "02-01-2020 03:04:05.678", at(2020, 1, 2, 3, 4, 5, 678)},
		{"dd-MM-yyyy HH:mm:ss.SSS", "02-01-2020 03:04:05.67", time.Time{}},
		{"dd-MM-yyyy HH:mm:ss.S", "02-01-2020 03:04:05.67", at(2020, 1, 2, 3, 4, 5, 67)},
		{"dd-MM-yyyy HH:mm:ss", "02-01-2020 03:04:60", time.Time{}},
		// Literal text.
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2020-01-02T03:04:05Z", at(2020, 1, 2, 3, 4, 5, 0)},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2020-01-02t03:04:05Z", time.Time{}},
		{"dd 'o''clock' MM yyyy", "02 o'clock 01 2020", at(2020, 1, 2, 0, 0, 0, 0)},
		{"dd''MM''yyyy", "02'01'2020", at(2020, 1, 2, 0, 0, 0, 0)},
	}
	for _, test := range tests {
		f, err := ParseDateFormat(test.pattern)
		if err != nil {
			t.Errorf("%q: %v", test.pattern, err)
			continue
		}
		got, err := f.Parse(test.text, utc)
		if test.want.IsZero() {
			if !errors.Is(err, ErrDateText) {
				t.Errorf("%q by %q: got %v, %v; want a refusal", test.text, test.pattern, got, err)
			}
			continue
		}
		if err != nil || !got.Equal(test.want) {
			t.Errorf("%q by %q: got %v, %v; want %v", test.text, test.pattern, got, err, test.want)
		}
	}
}

func TestClocksThatChange(t *testing.T) {
	const dateOnly, withTime = "yyyy-MM-dd", "yyyy-MM-dd HH:mm"
	tests := []struct {
		zone, pattern, text string
		want                string // RFC 3339, empty: the clocks skipped it
	}{
		// Summer time begins: 02:00 to 03:00 does not occur.
		{"Europe/Berlin", withTime, "2024-03-31 01:59", "2024-03-31T01:59:00+01:00"},
		{"Europe/Berlin", withTime, "2024-03-31 02:00", ""},
		{"Europe/Berlin", withTime, "2024-03-31 02:59", ""},
		{"Europe/Berlin", withTime, "2024-03-31 03:00", "2024-03-31T03:00:00+02:00"},
		{"America/New_York", withTime, "2024-03-10 02:30", ""},
		{"America/New_York", withTime, "2024-03-10 03:30", "2024-03-10T03:30:00-04:00"},
		{"Australia/Lord_Howe", withTime, "2024-10-06 02:15", ""}, // half an hour only
		{"Australia/Lord_Howe", withTime, "2024-10-06 02:45", "2024-10-06T02:45:00+11:00"},
		// Summer time ends: 02:00 to 03:00 occurs twice; the later counts.
		{"Europe/Berlin", withTime, "2024-10-27 01:59", "2024-10-27T01:59:00+02:00"},
		{"Europe/Berlin", withTime, "2024-10-27 02:30", "2024-10-27T02:30:00+01:00"},
		{"America/New_York", withTime, "2024-11-03 01:30", "2024-11-03T01:30:00-05:00"},
		// A day whose midnight was skipped begins later.
		{"America/Sao_Paulo", dateOnly, "2018-11-04", "2018-11-04T01:00:00-02:00"},
		{"America/Sao_Paulo", withTime, "2018-11-04 00:30", ""},
		{"Asia/Beirut", dateOnly, "2022-03-27", "2022-03-27T01:00:00+03:00"},
		// A day that an island did not have begins with the next one.
		{"Pacific/Apia", dateOnly, "2011-12-30", "2011-12-31T00:00:00+14:00"},
		{"Pacific/Apia", dateOnly, "2011-12-31", "2011-12-31T00:00:00+14:00"},
		// Far from any change, and zones of odd minutes.
		{"Asia/Kolkata", withTime, "2024-06-01 00:00", "2024-06-01T00:00:00+05:30"},
		{"Asia/Kathmandu", dateOnly, "2024-06-01", "2024-06-01T00:00:00+05:45"},
		{"Etc/GMT-14", dateOnly, "2024-06-01", "2024-06-01T00:00:00+14:00"},
		{"Europe/Berlin", dateOnly, "2024-03-31", "2024-03-31T00:00:00+01:00"},
		{"UTC", withTime, "2024-03-31 02:30", "2024-03-31T02:30:00Z"},
	}
	for _, test := range tests {
		f, err := ParseDateFormat(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Parse(test.text, mustZone(t, test.zone))
		switch {
		case test.want == "":
			if !errors.Is(err, ErrDateSkipped) {
				t.Errorf("%s in %s: got %v, %v; want that it was skipped", test.text, test.zone, got, err)
			}
		case err != nil || got.Format(time.RFC3339) != test.want:
			t.Errorf("%s in %s: got %v, %v; want %s", test.text, test.zone, got.Format(time.RFC3339), err, test.want)
		}
	}
}

// Every hour of three years of several zones is read back as what the clocks showed.
func TestEveryHourIsReadBack(t *testing.T) {
	const layout = "2006-01-02 15:04"
	f, err := ParseDateFormat("yyyy-MM-dd HH:mm")
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"} {
		loc := mustZone(t, zone)
		from := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
		for at := from; at.Before(from.AddDate(3, 0, 0)); at = at.Add(30 * time.Minute) {
			text := at.In(loc).Format(layout)
			got, err := f.Parse(text, loc)
			if err != nil || got.Format(layout) != text || got.Before(at) {
				t.Fatalf("%s in %s: got %v, %v; want %v or its second occurrence", text, zone, got, err, at)
			}
		}
	}
}

func FuzzDateFormat(f *testing.F) {
	for _, s := range [][2]string{
		{"dd-MM-yyyy", "02-01-2020"},
		{"M/d/yy", "1/2/20"},
		{"EEE, d MMMM yyyy hh:mm:ss.SSS a", "Thu, 2 January 2020 03:04:05.678 PM"},
		{"yyyy-MM-dd'T'HH:mm", "2020-01-02T03:04"},
		{"''''", "''"},
		{"kk'x", "24"},
		{"dMy", "112020"},
	} {
		f.Add(s[0], s[1])
	}
	berlin := mustZone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		format, err := ParseDateFormat(pattern)
		if err != nil {
			return
		}
		utc, err := format.Parse(text, time.UTC)
		if err != nil {
			return
		}
		if y := utc.Year(); y < 1 || y > 9999 {
			t.Errorf("%q by %q is in year %d", text, pattern, y)
		}
		local, err := format.Parse(text, berlin)
		if errors.Is(err, ErrDateSkipped) {
			return
		}
		if err != nil || local.Sub(utc).Abs() > 26*time.Hour {
			t.Errorf("%q by %q is %v in UTC, but %v, %v in Berlin", text, pattern, utc, local, err)
		}
	})
}

func BenchmarkParseDate(b *testing.B) {
	f, err := ParseDateFormat("dd-MM-yyyy HH:mm")
	if err != nil {
		b.Fatal(err)
	}
	for _, zone := range []string{"UTC", "Europe/Berlin"} {
		loc := mustZone(b, zone)
		b.Run(zone, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Parse("17-03-2024 09:41", loc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
