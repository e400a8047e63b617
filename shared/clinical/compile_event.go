package clinical

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/odm"
)

// events takes the events in the order of the protocol; those that it does not name follow.
func (c *compiler) events(v *odm.MetaDataVersion) {
	place := map[string]int{}
	if v.Protocol != nil {
		refs := slices.Clone(v.Protocol.StudyEventRef)
		slices.SortStableFunc(refs, func(a, b odm.StudyEventRef) int { return orderNumber(a.OrderNumber) - orderNumber(b.OrderNumber) })
		for i, ref := range refs {
			place[Fold(ref.StudyEventOID)] = i + 1
		}
	}
	details := presence(v)
	defined := map[string]bool{}
	for i := range v.StudyEventDef {
		d := &v.StudyEventDef[i]
		if !c.named("StudyEventDef", d.OID) {
			continue
		}
		if defined[Fold(d.OID)] {
			c.refuse("StudyEventDef %s is there twice.", d.OID)
			continue
		}
		defined[Fold(d.OID)] = true
		if d.Name == "" {
			c.refuse("StudyEventDef %s has no Name.", d.OID)
		}
		if d.Repeating == "" {
			c.refuse("StudyEventDef %s does not tell whether it is Repeating.", d.OID)
		}
		e := &EventDef{
			OID: d.OID, Name: d.Name, Repeating: isYes(d.Repeating), Archived: isGone(d.Status),
			Common: strings.EqualFold(cmp.Or(d.EventType, d.Type), "Common"),
		}
		for j := range d.FormRef {
			o, gone, ok := c.formRef(d, &d.FormRef[j], details)
			if !ok {
				continue
			}
			ref := e.Ref(c.to.Forms[o.Form])
			if ref == nil {
				e.Forms = append(e.Forms, FormRef{Form: o.Form, Archived: gone})
				ref = &e.Forms[len(e.Forms)-1]
			}
			ref.Archived = ref.Archived && gone
			if own := c.versions[Fold(d.FormRef[j].FormOID)].layout; gone && own != "" {
				continue // of the form's versions this one is archived here
			}
			ref.SiteHidden = ref.SiteHidden || o.Hidden == "Yes"
			ref.Default = cmp.Or(o.Default, ref.Default)
			ref.Layouts = append(ref.Layouts, o.Layouts...)
		}
		for j := range e.Forms {
			ref := &e.Forms[j]
			ref.Default = c.to.Forms[ref.Form].usual(ref)
		}
		c.to.Events = append(c.to.Events, e)
	}
	for oid := range place {
		if !defined[oid] {
			c.refuse("The Protocol names the event %s, which is not defined.", clip(oid, maxOID))
		}
	}
	slices.SortStableFunc(c.to.Events, func(a, b *EventDef) int {
		return cmp.Or(place[Fold(a.OID)], len(place)+1) - cmp.Or(place[Fold(b.OID)], len(place)+1)
	})
}

func orderNumber(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return 1 << 30 // without a number: after the others
	}
	return n
}

// present is how an event uses a version of a form, by folded OIDs, as FormDetails tells.
type present struct{ event, version string }

func presence(v *odm.MetaDataVersion) map[present]*odm.PresentInEventDefinition {
	all := map[present]*odm.PresentInEventDefinition{}
	for i := range v.FormDef {
		if d := v.FormDef[i].FormDetails; d != nil {
			for j := range d.PresentInEventDefinition {
				p := &d.PresentInEventDefinition[j]
				all[present{Fold(p.StudyEventOID), Fold(v.FormDef[i].OID)}] = p
			}
		}
	}
	return all
}

// formRef is what an event says about a form, in either dialect.
func (c *compiler) formRef(e *odm.StudyEventDef, r *odm.FormRef, details map[present]*odm.PresentInEventDefinition) (o Override, gone, ok bool) {
	v, found := c.versions[Fold(r.FormOID)]
	if !found {
		c.refuse("StudyEventDef %s names the form %s, which is not defined.", e.OID, clip(r.FormOID, maxOID))
		return Override{}, false, false
	}
	o = Override{Event: Fold(e.OID), Form: Fold(v.form.OID)}
	if v.layout != "" {
		o.Layouts = []string{v.layout}
	}
	for i := range r.FormLayoutRef {
		l := &r.FormLayoutRef[i]
		if _, known := v.form.Layout(l.OID); !known {
			c.refuse("StudyEventDef %s names the version %s of form %s, which is not defined.", e.OID, clip(l.OID, maxOID), v.form.OID)
			continue
		}
		o.Layouts = append(o.Layouts, l.OID)
		if isYes(l.IsDefaultVersion) {
			o.Default = l.OID
		}
	}
	if p := r.ConfigurationParameters; p != nil && p.HideCRF != "" {
		o.Hidden = YesNo(isYes(p.HideCRF))
	}
	if p := details[present{Fold(e.OID), Fold(r.FormOID)}]; p != nil {
		if p.HideCRF != "" {
			o.Hidden = YesNo(isYes(p.HideCRF))
		}
		if isYes(p.IsDefaultVersion) && v.layout != "" {
			o.Default = v.layout
		}
	}
	return o, isGone(r.Status), true
}

// site takes what a site does otherwise: only the events and forms that it names.
func (c *compiler) site(s, study *odm.Study) {
	if !c.usable("Study", s.OID) {
		return
	}
	v := lastVersion(s)
	if v == nil || v.Include == nil || Fold(v.Include.StudyOID) != Fold(study.OID) {
		c.refuse("Study %s is no site of %s: its MetaDataVersion has no Include of that study.", s.OID, study.OID)
		return
	}
	oid := Fold(s.OID)
	if _, twice := c.out.Sites[oid]; twice {
		c.refuse("Study %s is there twice.", s.OID)
	}
	c.out.Sites[oid] = nil
	details := presence(v)
	for i := range v.StudyEventDef {
		d := &v.StudyEventDef[i]
		if !slices.ContainsFunc(c.to.Events, func(e *EventDef) bool { return Fold(e.OID) == Fold(d.OID) }) {
			c.refuse("Site %s names the event %s, which the study does not have.", s.OID, clip(d.OID, maxOID))
			continue
		}
		merged := map[string]*Override{}
		var order []string
		for j := range d.FormRef {
			o, _, ok := c.formRef(d, &d.FormRef[j], details)
			if !ok {
				continue
			}
			was := merged[o.Form]
			if was == nil {
				merged[o.Form] = &o
				order = append(order, o.Form)
				continue
			}
			was.Hidden, was.Default = cmp.Or(o.Hidden, was.Hidden), cmp.Or(o.Default, was.Default)
			was.Layouts = append(was.Layouts, o.Layouts...)
		}
		for _, form := range order {
			c.out.Sites[oid] = append(c.out.Sites[oid], *merged[form])
		}
	}
}
