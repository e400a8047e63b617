package csvimport

import (
	"strconv"

	"aliquot/shared/biobank"
)

type distribution = biobank.DistributionDraft

const captionDistributing = "Distributing Sites"

// distributionSchema is distributionProtocol, section 2.14.
func distributionSchema() *Schema {
	fields := []field[*distribution]{
		identifier(func(d *distribution) *int64 { return &d.ID }),
		text("Title", func(d *distribution) *string { return &d.Doc.Title }),
		text("Short Title", func(d *distribution) *string { return &d.Doc.ShortTitle }),
		name("Receiving Institute", func(d *distribution) **string { return &d.Institute }),
		name("Receiving Site", func(d *distribution) **string { return &d.ReceivingSite }),
		user("PI#Email", func(d *distribution) *biobank.UserRef { return &d.PI }),
		records("Coordinator", func(d *distribution) *[]biobank.UserRef { return &d.Coordinators },
			text("Email", func(u *biobank.UserRef) *string { return &u.Email })).draftOnly(),
		text("Ethics ID", func(d *distribution) *string { return &d.Doc.IrbID }),
		day("Start Date", func(d *distribution) *string { return &d.Doc.StartDate }),
		day("End Date", func(d *distribution) *string { return &d.Doc.EndDate }),
		flag("Disable Email Notifications", func(d *distribution) *bool { return &d.Doc.NoNotifications }),
		text(captionActivity, func(d *distribution) *string { return &d.Doc.ActivityStatus }),
		ignored[*distribution](captionReason),
	}
	return &Schema{
		objectType: "distributionProtocol",
		label:      "Distribution Protocols",
		generated:  []string{"OS_IDENTIFIER"},
		columns: append(columnsOf(fields),
			column{caption: captionDistributing, many: true, members: []string{"Institute", "Site#1", "Site#2"}}),
		create: [][]string{{"Title"}, {"Short Title"}, {"Receiving Institute"}, {"PI#Email"}, {captionDistributing + "#1#Institute"}},
		update: [][]string{{captionIdentifier, "Short Title"}},
		keys: []identityKey{
			{tag: "dp", own: true, captions: []string{captionIdentifier}},
			{tag: "dp.shortTitle", own: true, captions: []string{"Short Title"}},
			{tag: "dp.title", own: true, captions: []string{"Title"}},
		},
		levels: []biobank.Level{biobank.DistributionFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part, sites := bindPart(h, fields), bindDistributing(h)
			custom := o.customFields(h, biobank.DistributionFields)
			return func(in *input) biobank.Draft {
				d := &distribution{Sites: readDistributing(in, sites)}
				set := part.read(in, d)
				d.Extension = custom(in)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *distribution) *biobank.DistributionDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}

// distributing are the cells of an institute that distributes, and of its sites.
type distributing struct {
	institute int
	sites     []int
}

func bindDistributing(h *header) []distributing {
	take := func(caption string) int {
		i := h.find(caption)
		if i >= 0 {
			h.used[i] = true
		}
		return i
	}
	var all []distributing
	for n := 1; ; n++ {
		prefix := captionDistributing + "#" + strconv.Itoa(n) + "#"
		one := distributing{institute: take(prefix + "Institute")}
		if one.institute < 0 {
			return all
		}
		for m := 1; ; m++ {
			i := take(prefix + "Site#" + strconv.Itoa(m))
			if i < 0 {
				break
			}
			one.sites = append(one.sites, i)
		}
		all = append(all, one)
	}
}

// readDistributing reads the institutes up to the first that is blank, each with its sites up to the first that is blank: none
// stands for all of them. It is nil where nothing is sent.
func readDistributing(in *input, cells []distributing) map[string][]string {
	var all map[string][]string
	for _, one := range cells {
		raw, s := in.cell(one.institute)
		if s == nothing {
			break
		}
		if all == nil {
			all = map[string][]string{}
		}
		if s == cleared {
			break
		}
		institute := in.keep(raw)
		if _, twice := all[institute]; twice {
			in.refuse(one.institute, raw, errTwice)
		}
		sites := []string{}
		for _, i := range one.sites {
			raw, s := in.cell(i)
			if s != given {
				break
			}
			sites = append(sites, in.keep(raw))
		}
		all[institute] = sites
	}
	return all
}
