package api

import (
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Permissible values (reference openspecimen-rest.md section 19). They are part of the product; everybody may read them.

func valueRoutes() []route {
	return []route{
		{pattern: "GET /permissible-values", summary: "List permissible values", answers: []valueView{}, serve: listValues},
		{pattern: "GET /permissible-values/v", summary: "List permissible values", answers: []valueView{}, serve: listValues},
		{pattern: "GET /permissible-values/count", summary: "Count permissible values", answers: countView{}, serve: countValues},
		{pattern: "GET /permissible-values/v/{value...}", summary: "Read a permissible value", answers: valueView{}, serve: getValue},
	}
}

// valueView leaves its nulls out.
type valueView struct {
	ID          int64       `json:"id"`
	Value       string      `json:"value"`
	ParentID    *int64      `json:"parentId,omitempty"`
	ParentValue *string     `json:"parentValue,omitempty"`
	Props       *valueProps `json:"props,omitempty"`
}

// valueProps are the units of a specimen type, or of a class; other values have no properties. The reference leaves the
// names of properties open; these are those of its older servers.
type valueProps struct {
	QuantityUnit      string `json:"quantity_unit,omitempty"`
	ConcentrationUnit string `json:"concentration_unit,omitempty"`
}

// only leaves out of v what was not asked for.
func (v valueView) only(withParent, withProps bool) valueView {
	if !withParent {
		v.ParentID, v.ParentValue = nil, nil
	}
	if !withProps {
		v.Props = nil
	}
	return v
}

// attributes in the order in which a value that is named by its text alone is looked for.
var attributes = [...]string{
	biobank.Genders, biobank.Races, biobank.Ethnicities, biobank.VitalStatuses, biobank.ClinicalDiagnoses,
	biobank.ClinicalStatuses, biobank.VisitStatuses, biobank.MissedVisitReasons, biobank.Cohorts, biobank.SpecimenClasses,
	biobank.SpecimenTypes, biobank.AnatomicSites, biobank.Lateralities, biobank.PathologyStatuses, biobank.SpecimenBiohazards,
	biobank.SpecimenUnits, biobank.CollectionProcedures, biobank.CollectionContainers, biobank.ReceiveQualities,
	biobank.SiteTypes, biobank.ConsentResponses, biobank.SexGenotypes,
}

// valuesOf are all values of an attribute. Of specimen types the classes are the roots.
func valuesOf(attribute string) []valueView {
	if !slices.Contains(attributes[:], attribute) {
		return nil
	}
	var all []valueView
	for _, value := range biobank.Values(attribute) {
		v := valueView{ID: biobank.ValueID(attribute, value), Value: value, Props: &valueProps{}}
		if attribute == biobank.SpecimenTypes || attribute == biobank.SpecimenClasses {
			class, _, _ := biobank.ClassOf(value)
			unit := biobank.UnitsOf(class, value)
			v.Props = &valueProps{unit.Quantity, unit.Concentration}
		}
		if attribute == biobank.SpecimenTypes {
			if class, _, ok := biobank.ClassOf(value); ok && class != value {
				id := biobank.ValueID(attribute, class)
				v.ParentID, v.ParentValue = &id, &class
			}
		}
		all = append(all, v)
	}
	return all
}

// findValues are the values that the caller asked for.
func findValues(q *query) ([]valueView, error) {
	attribute, above := q.text("attribute"), q.text("parentAttribute")
	states := q.texts("activityStatus")
	if attribute == "" {
		if above != "" && !slices.Contains(attributes[:], above) {
			return nil, fault.New("PV_PARENT_ATTR_NOT_FOUND", "Attribute %q was not found.", above)
		}
		attribute = above // the values below one of its
	}
	if attribute == "" {
		return nil, fault.New("PV_ATTR_NAME_REQUIRED", "Give the attribute.")
	}
	search, values, parent := q.text("searchString"), q.names("value"), q.text("parentValue")
	leaves, roots := q.flag("includeOnlyLeafValue", false), q.flag("includeOnlyRootValue", false)
	withParent, withProps := q.flag("includeParentValue", false), q.flag("includeProps", false)
	if q.wrong != nil {
		return nil, q.wrong
	}
	all := valuesOf(attribute)
	isParent := map[int64]bool{}
	for _, v := range all {
		if v.ParentID != nil {
			isParent[*v.ParentID] = true
		}
	}
	found := []valueView{}
	for _, v := range all {
		switch {
		case !among(states, biobank.StatusActive): // which all of them are
		case !like(v.Value, search, false), !among(values, v.Value):
		case parent != "" && (v.ParentValue == nil || biobank.Fold(*v.ParentValue) != biobank.Fold(parent)):
		case leaves && isParent[v.ID], roots && v.ParentID != nil:
		default:
			found = append(found, v.only(withParent, withProps))
		}
	}
	return found, nil
}

func listValues(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", maxPage)
	found, err := findValues(q)
	return cut(found, page), err
}

func countValues(c *call) (any, error) {
	found, err := findValues(c.query())
	return countView{len(found)}, err
}

// getValue serves one value, by id or by its text, which may have slashes ("cells/ml").
func getValue(c *call) (any, error) {
	q := c.query()
	text, attribute := c.PathValue("value"), q.text("attribute")
	withParent, withProps := q.flag("includeParentValue", false), q.flag("includeProps", false)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if strings.TrimSpace(text) == "" {
		return nil, fault.New("PV_VALUE_REQUIRED", "Give the id of the value, or its text.")
	}
	id, err := strconv.ParseInt(text, 10, 64)
	for _, a := range attributes {
		if attribute != "" && a != attribute {
			continue
		}
		for _, v := range valuesOf(a) {
			if err == nil && v.ID == id || err != nil && biobank.Fold(v.Value) == biobank.Fold(text) {
				return v.only(withParent, withProps), nil
			}
		}
	}
	return nil, notNamed("PV_NOT_FOUND", "Value", text)
}
