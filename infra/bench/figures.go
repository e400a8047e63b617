package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// figure is one measurement, printed as a JSON line.
type figure struct {
	Figure   string  `json:"figure"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Rows     int     `json:"rows,omitempty"`
	Endpoint string  `json:"endpoint,omitempty"`
	Note     string  `json:"note,omitempty"`
}

const mib = 1 << 20

// bars are the most that a figure may be, for the given rows (design.md section 9). A figure without a bar informs.
var bars = map[string]func(rows int) float64{
	"import.write_units_per_row":              atMost(3.1),
	"import.requests_per_row":                 atMost(0.15),
	"import.read_units_per_parent":            atMost(0.5),
	"update.write_units_per_row":              atMost(2.2),
	"update.read_units_per_row":               atMost(2.2),
	"update.requests_per_row":                 atMost(0.2),
	"import.cpu_vs_bare_sdk":                  atMost(1.0),
	"import.rss_mib_1m":                       atMost(128),
	"import.rss_mib_10m":                      atMost(128),
	"import.rss_10m_vs_1m":                    atMost(1.15),
	"plan.rss_mib_1m":                         planBar,
	"plan.rss_mib_10m":                        planBar,
	"import.cpu_growth_10x":                   atMost(10.5),
	"odm.read_vs_encoding_xml":                atMost(1.0 / 3),
	"odm.write_vs_encoding_xml":               atMost(1.0 / 3),
	"odm.read_allocs_per_item":                atMost(0.05),
	"odm.write_allocs_per_item":               atMost(0.05),
	"odm.rss_mib_100mb":                       atMost(128),
	"odm.import_write_units_per_item":         atMost(0.15),
	"odm.import_rss_mib_100mb":                atMost(128),
	"odm.reimport_write_units_per_item":       atMost(0.01),
	"odm.retrieve_rss_mib_100mb":              atMost(128),
	"odm.import_one_form_read_units_per_item": atMost(0.02),
	"odm.import_one_form_rss_mib":             atMost(128),
	"start.vs_hello":                          atMost(2.5),
	"binary.max_mb":                           atMost(14),
}

func atMost(limit float64) func(int) float64 { return func(int) float64 { return limit } }

// planBar is 128 MiB and 32 bytes a row.
func planBar(rows int) float64 { return 128 + 32*float64(rows)/mib }

// wants tells whether a figure is to be measured; a name that ends in a dot or a low line stands for all that begin so.
func (b *bench) wants(names ...string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, b.only) || strings.ContainsAny(name[len(name)-1:], "._") && strings.HasPrefix(b.only, name) {
			return true
		}
	}
	return false
}

// report prints a figure, if it is wanted.
func (b *bench) report(f figure) error {
	if !b.wants(f.Figure) {
		return nil
	}
	b.figures = append(b.figures, f)
	doc, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(doc))
	return err
}

// table prints the figures beside their bars.
func (b *bench) table() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfigure\tvalue\tbar\t")
	for _, f := range b.figures {
		name := f.Figure
		if f.Endpoint == endpointLocal {
			name += " (local)"
		}
		bar, met := "", ""
		if limit := bars[f.Figure]; limit != nil {
			most := limit(f.Rows)
			bar, met = fmt.Sprintf("<= %.4g", most), "met"
			if f.Value > most {
				met = "not met"
			}
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\n", name, f.Value, f.Unit, bar, met)
	}
	w.Flush()
}
