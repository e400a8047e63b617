package clinical

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"aliquot/shared/fault"
	"aliquot/shared/odm"
)

// Compiled is a version of a study's metadata: what its ODM says, with what earlier versions said and this one no longer
// does, and what its sites do otherwise.
type Compiled struct {
	Version int       `json:"version"`
	Study   *Metadata `json:"study"`
	// Sites are what a site's own MetaDataVersion says about forms of events, by the site's folded OID (section 8.2, Include).
	Sites map[string][]Override `json:"sites,omitempty"`
	// Warnings are sentences for whoever sent the document.
	Warnings []string `json:"warnings,omitempty"`
}

// Override is what a site does otherwise with a form of an event.
type Override struct {
	Event   string   `json:"event"` // folded
	Form    string   `json:"form"`  // folded
	Hidden  string   `json:"hidden,omitempty"`
	Default string   `json:"default,omitempty"`
	Layouts []string `json:"layouts,omitempty"`
}

// For is the metadata of the study, or, by its OID, of one of its sites.
func (c *Compiled) For(oid string) *Metadata {
	if Fold(oid) == Fold(c.Study.Study) {
		return c.Study
	}
	site := *c.Study
	site.Study, site.Events, site.events = oid, nil, map[string]*EventDef{}
	for _, e := range c.Study.Events {
		copied := *e
		copied.Forms = slices.Clone(e.Forms)
		for i := range copied.Forms {
			copied.Forms[i].Hidden = copied.Forms[i].SiteHidden
		}
		site.Events = append(site.Events, &copied)
		site.events[Fold(e.OID)] = &copied
	}
	for _, o := range c.Sites[Fold(oid)] {
		e := site.events[o.Event]
		if e == nil {
			continue // archived since, or never the study's
		}
		for i := range e.Forms {
			ref := &e.Forms[i]
			if ref.Form != o.Form {
				continue
			}
			if o.Hidden != "" {
				ref.Hidden = o.Hidden == "Yes"
			}
			if o.Layouts != nil {
				ref.Layouts = o.Layouts
			}
			ref.Default = cmp.Or(o.Default, ref.Default)
			ref.Default = site.Forms[ref.Form].usual(ref)
		}
	}
	return &site
}

// maxFaults is how many faults of a document are told at once.
const maxFaults = 50

// Compile makes of the studies of a document the metadata of the one with the OID (section 8.2). The study comes first; the
// others are its sites. Of several MetaDataVersions of a study the last counts. What cannot be used is told all at once, as
// a fault.List.
func Compile(oid string, studies []*odm.Study) (*Compiled, error) {
	c := &compiler{
		to: &Metadata{
			Study: oid, Forms: map[string]*FormDef{}, Groups: map[string]*GroupDef{}, Items: map[string]*ItemDef{},
		},
		out: &Compiled{Sites: map[string][]Override{}},
	}
	c.out.Study = c.to
	var main *odm.Study
	for _, s := range studies {
		if Fold(s.OID) == Fold(oid) {
			main = s
		}
	}
	if main == nil {
		return nil, fault.New("STUDY_METADATA_INVALID", "The document has no Study with the OID %q.", clip(oid, maxOID))
	}
	c.study(main)
	for _, s := range studies {
		if s != main {
			c.site(s, main)
		}
	}
	if err := c.faults.Err(); err != nil {
		return nil, err
	}
	c.to.index()
	return c.out, nil
}

// compiler keeps what has been read of a document.
type compiler struct {
	to     *Metadata
	out    *Compiled
	faults fault.List

	versions map[string]version // by the folded OID of a form, or of a version of it
	lists    map[string]map[string]bool
	multi    map[string]map[string]bool
}

// version is a form, with the layout that an OID of a version stands for; empty for the form's own OID.
type version struct {
	form   *FormDef
	layout string
}

func (c *compiler) refuse(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults.Add("STUDY_METADATA_INVALID", format, args...)
	}
}

// usable tells whether an OID may be one, and refuses it where not.
func (c *compiler) usable(kind, oid string) bool {
	switch {
	case Fold(oid) == "":
		c.refuse("A %s has no OID.", kind)
	case len(oid) > maxOID:
		c.refuse("The OID of a %s has more than %d bytes.", kind, maxOID)
	case len(escape(Fold(oid))) > maxOID:
		c.refuse("The OID of a %s is too long: a character outside ASCII counts as three for each of its bytes, of %d.", kind, maxOID)
	default:
		return true
	}
	return false
}

// named is usable for what requests name in their paths.
func (c *compiler) named(kind, oid string) bool {
	if notInPath(oid) {
		c.refuse("The OID of a %s is not valid: it is . or .. or *, or has a slash or a control character.", kind)
		return false
	}
	return c.usable(kind, oid)
}

// last is the MetaDataVersion that counts, nil for none.
func lastVersion(s *odm.Study) *odm.MetaDataVersion {
	if len(s.MetaDataVersion) == 0 {
		return nil
	}
	return &s.MetaDataVersion[len(s.MetaDataVersion)-1]
}

func (c *compiler) study(s *odm.Study) {
	if s.GlobalVariables == nil {
		c.refuse("Study %s has no GlobalVariables.", clip(s.OID, maxOID))
	}
	v := lastVersion(s)
	if v == nil {
		c.refuse("Study %s has no MetaDataVersion.", clip(s.OID, maxOID))
		return
	}
	c.codeLists(v)
	c.items(v)
	c.groups(v)
	c.forms(v)
	c.events(v)
}

func (c *compiler) codeLists(v *odm.MetaDataVersion) {
	c.lists, c.multi = map[string]map[string]bool{}, map[string]map[string]bool{}
	for i := range v.CodeList {
		l := &v.CodeList[i]
		if !c.usable("CodeList", l.OID) {
			continue
		}
		codes := map[string]bool{}
		for j := range l.CodeListItem {
			codes[l.CodeListItem[j].CodedValue] = true
		}
		for j := range l.EnumeratedItem {
			codes[l.EnumeratedItem[j].CodedValue] = true
		}
		if len(l.ExternalCodeList) > 0 && len(codes) == 0 {
			codes = nil // its values stand elsewhere
		}
		c.lists[Fold(l.OID)] = codes
	}
	for i := range v.MultiSelectList {
		l := &v.MultiSelectList[i]
		if !c.usable("MultiSelectList", l.ID) {
			continue
		}
		codes := map[string]bool{}
		for j := range l.MultiSelectListItem {
			codes[l.MultiSelectListItem[j].CodedOptionValue] = true
		}
		c.multi[Fold(l.ID)] = codes
	}
}

// items takes the items. One that is defined again, for another version of its form, adds its codes.
func (c *compiler) items(v *odm.MetaDataVersion) {
	for i := range v.ItemDef {
		d := &v.ItemDef[i]
		if !c.usable("ItemDef", d.OID) {
			continue
		}
		if d.DataType == "" {
			c.refuse("ItemDef %s has no DataType.", d.OID)
		}
		item := &ItemDef{OID: d.OID, Name: cmp.Or(d.Name, d.OID)}
		var known bool
		if item.Type, known = KindOf(d.DataType); !known && d.DataType != "" {
			c.warn("ItemDef %s: the data type %q is stored as text.", d.OID, clip(d.DataType, 30))
		}
		c.response(item, d)
		if was := c.to.Items[Fold(d.OID)]; was != nil {
			if item.Codes == nil || was.Codes == nil {
				item.Codes = nil
			} else {
				maps.Copy(item.Codes, was.Codes)
			}
		}
		c.to.Items[Fold(d.OID)] = item
	}
}

func (c *compiler) warn(format string, args ...any) {
	if len(c.out.Warnings) < maxFaults {
		c.out.Warnings = append(c.out.Warnings, fmt.Sprintf(format, args...))
	}
}

// response tells how an item is answered, and with it which values it takes (section 4). Where no response type is given
// the kind of its list tells.
func (c *compiler) response(item *ItemDef, d *odm.ItemDef) {
	kind := ""
	for i := range d.ItemPresentInForm {
		p := &d.ItemPresentInForm[i]
		if p.ItemResponse != nil && kind == "" {
			kind = strings.ToLower(p.ItemResponse.ResponseType)
		}
	}
	var codes map[string]bool
	var found bool
	if d.CodeListOID != "" {
		if codes, found = c.lists[Fold(d.CodeListOID)]; !found {
			c.refuse("ItemDef %s names the CodeList %s, which is not defined.", d.OID, clip(d.CodeListOID, maxOID))
		}
	}
	if d.MultiSelectListID != "" {
		several, found := c.multi[Fold(d.MultiSelectListID)]
		if !found {
			c.refuse("ItemDef %s names the MultiSelectList %s, which is not defined.", d.OID, clip(d.MultiSelectListID, maxOID))
		}
		codes = several
		if kind == "" {
			kind = "multi-select"
		}
	}
	switch kind {
	case "", "single-select", "radio":
		item.Codes = maps.Clone(codes)
	case "multi-select", "checkbox":
		item.Codes, item.Multiple = maps.Clone(codes), true
	case "file", "image", "audio", "video":
		item.File = true
	}
}

func (c *compiler) groups(v *odm.MetaDataVersion) {
	for i := range v.ItemGroupDef {
		d := &v.ItemGroupDef[i]
		if !c.usable("ItemGroupDef", d.OID) {
			continue
		}
		g := c.to.Groups[Fold(d.OID)]
		if g == nil {
			g = &GroupDef{OID: d.OID}
			c.to.Groups[Fold(d.OID)] = g
		}
		g.Name, g.Repeating = cmp.Or(d.Name, d.OID), isYes(d.Repeating)
		for j := range d.ItemRef {
			ref := Fold(d.ItemRef[j].ItemOID)
			item := c.to.Items[ref]
			if item == nil {
				c.refuse("ItemGroupDef %s names the item %s, which is not defined.", d.OID, clip(d.ItemRef[j].ItemOID, maxOID))
				continue
			}
			if !slices.Contains(g.Items, ref) {
				g.Items = append(g.Items, ref)
			}
		}
	}
}

// forms takes the forms. In 3.x a FormDef is a version, and FormDetails names the form that it is a version of; they become
// one form, whose layouts are the versions (section 8.2).
func (c *compiler) forms(v *odm.MetaDataVersion) {
	c.versions = map[string]version{}
	for i := range v.FormDef {
		d := &v.FormDef[i]
		if !c.named("FormDef", d.OID) {
			continue
		}
		oid, name, own := d.OID, cmp.Or(d.Name, d.OID), ""
		if d.FormDetails != nil && d.FormDetails.ParentFormOID != "" && Fold(d.FormDetails.ParentFormOID) != Fold(d.OID) {
			oid = d.FormDetails.ParentFormOID
			if !c.named("form", oid) {
				continue
			}
			// "Vital signs - v1.0": the form's name and the version's.
			own = d.OID
			if at := strings.LastIndex(d.Name, " - "); at > 0 {
				name, own = d.Name[:at], d.Name[at+len(" - "):]
			}
		}
		f := c.to.Forms[Fold(oid)]
		if f == nil {
			f = &FormDef{OID: oid, Name: name}
			c.to.Forms[Fold(oid)] = f
		}
		c.versions[Fold(oid)] = version{form: f}
		if own != "" {
			if _, taken := f.Layout(own); taken {
				own = d.OID
			}
			f.addLayout(Layout{Name: own, OID: d.OID})
			c.versions[Fold(d.OID)] = version{f, own}
		}
		for j := range d.FormLayoutDef {
			l := &d.FormLayoutDef[j]
			if !c.usable("FormLayoutDef", l.OID) {
				continue
			}
			f.addLayout(Layout{Name: l.OID, Archived: isGone(l.Status)})
		}
		for j := range d.ItemGroupRef {
			ref := Fold(d.ItemGroupRef[j].ItemGroupOID)
			if c.to.Groups[ref] == nil {
				c.refuse("FormDef %s names the item group %s, which is not defined.", d.OID, clip(d.ItemGroupRef[j].ItemGroupOID, maxOID))
				continue
			}
			if !slices.Contains(f.Groups, ref) {
				f.Groups = append(f.Groups, ref)
			}
		}
	}
	for _, f := range c.to.Forms {
		if len(f.Layouts) == 0 {
			f.addLayout(Layout{Name: onlyLayout})
		}
	}
}

// onlyLayout is the version of a form of which no version is told.
const onlyLayout = "1"

func (f *FormDef) addLayout(l Layout) {
	if _, known := f.Layout(l.Name); !known {
		f.Layouts = append(f.Layouts, l)
	}
}

func isYes(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "yes") }

// isGone tells whether a definition's status is one in which it takes no data.
func isGone(status string) bool {
	s := strings.ToLower(status)
	return strings.Contains(s, "archived") || strings.Contains(s, "removed") || strings.Contains(s, "deleted")
}
