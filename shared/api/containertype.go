package api

import (
	"strings"

	"aliquot/shared/biobank"
)

// Container types (reference openspecimen-rest.md section 17).

func containerTypes() noun {
	return noun{path: "/container-types", typ: biobank.ContainerType, gather: gatherContainerTypes, view: viewContainerType, shows: containerTypeView{}}
}

func containerTypeRoutes() []route {
	n := containerTypes()
	// Both answers to a deletion are open but for the bulk one's count.
	gone := removal{noun: n, several: func(views []any, _ bool) any { return countView{len(views)} }}
	return append(
		members[biobank.ContainerTypeDoc]{
			noun: n, start: "startAt", fits: fitsContainerType,
			less: func(a, b *biobank.ContainerTypeDoc) int {
				return strings.Compare(biobank.Fold(a.Name), biobank.Fold(b.Name))
			},
		}.routes(),
		byNameRoute(n, "CONTAINER_TYPE_NOT_FOUND", "Container type"),
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return containerTypeDraft(in, 0) }),
		changeRoute("PUT", n, containerTypeDraft),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
	)
}

// grid reads a layout.
func (in *input) grid() biobank.Grid {
	return biobank.Grid{
		Rows: in.number("noOfRows"), Columns: in.number("noOfColumns"), Mode: in.text("positionLabelingMode"),
		Assignment: in.text("positionAssignment"), ColumnScheme: in.text("columnLabelingScheme"), RowScheme: in.text("rowLabelingScheme"),
	}
}

// typeRef reads how an object names a container type, nil when it was not sent.
func (in *input) typeRef(name string) *biobank.TypeRef {
	if !in.sent(name) {
		return nil
	}
	o := in.object(name)
	if o == nil {
		return &biobank.TypeRef{}
	}
	return &biobank.TypeRef{ID: o.number("id"), Name: o.text("name")}
}

func containerTypeDraft(in *input, id int64) biobank.Draft {
	return &biobank.ContainerTypeDraft{ID: id, CanHold: in.typeRef("canHold"), Doc: biobank.ContainerTypeDoc{
		Name: in.text("name"), NameFormat: in.text("nameFormat"), Grid: in.grid(), Temperature: in.quantity("temperature"),
		StoreSpecimens: in.flag("storeSpecimenEnabled"), ActivityStatus: in.text("activityStatus"),
	}}
}

// fitsContainerType serves the filters; canHold names the type that is to go into one of those asked for.
func fitsContainerType(c *call, q *query) (func(int64, *biobank.ContainerTypeDoc) bool, error) {
	names, exact, held := q.names("name"), q.flag("exactMatch", false), q.texts("canHold")
	var ids []int64
	for _, name := range held {
		id, err := c.api.Registry.Named(c.Context(), biobank.ContainerType, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return func(_ int64, doc *biobank.ContainerTypeDoc) bool {
		switch {
		case len(names) == 1 && !like(doc.Name, names[0], exact), len(names) > 1 && !among(names, doc.Name):
		case len(ids) > 0 && (doc.CanHold == 0 || !has(ids, doc.CanHold)):
		default:
			return true
		}
		return false
	}, nil
}

// containerTypeView has its nulls.
type containerTypeView struct {
	ID                   int64             `json:"id"`
	Name                 string            `json:"name"`
	NameFormat           string            `json:"nameFormat"`
	NoOfColumns          int64             `json:"noOfColumns"`
	NoOfRows             int64             `json:"noOfRows"`
	Capacity             int64             `json:"capacity"`
	PositionLabelingMode string            `json:"positionLabelingMode"`
	PositionAssignment   string            `json:"positionAssignment"`
	ColumnLabelingScheme string            `json:"columnLabelingScheme"`
	RowLabelingScheme    string            `json:"rowLabelingScheme"`
	Temperature          *biobank.Quantity `json:"temperature"`
	StoreSpecimenEnabled bool              `json:"storeSpecimenEnabled"`
	CanHold              *namedView        `json:"canHold"`
	ActivityStatus       string            `json:"activityStatus"`
}

// namedView names another object.
type namedView struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

func gatherContainerTypes(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.ContainerTypeDoc](rec)
		if err != nil {
			return err
		}
		keys = append(keys, setKey(biobank.ContainerType, doc.CanHold))
	}
	return r.fetch(keys...)
}

func viewContainerType(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.ContainerTypeDoc](rec)
	if err != nil {
		return nil, err
	}
	v := containerTypeView{
		ID: rec.ID, Name: doc.Name, NameFormat: doc.NameFormat, NoOfColumns: doc.Columns, NoOfRows: doc.Rows, Capacity: doc.Cells(),
		PositionLabelingMode: doc.Mode, PositionAssignment: doc.Assignment, ColumnLabelingScheme: doc.ColumnScheme,
		RowLabelingScheme: doc.RowScheme, Temperature: doc.Temperature, StoreSpecimenEnabled: doc.StoreSpecimens,
		ActivityStatus: doc.ActivityStatus,
	}
	if doc.CanHold != 0 {
		held, err := decodeAt[biobank.ContainerTypeDoc](r, setKey(biobank.ContainerType, doc.CanHold))
		if err != nil {
			return nil, err
		}
		v.CanHold = &namedView{doc.CanHold, held.Name}
	}
	return v, nil
}
