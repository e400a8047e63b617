package api

import (
	"slices"

	"aliquot/shared/biobank"
)

// containerView is a container with its nulls. What it holds is counted where one is asked for, and in lists with
// includeStats.
type containerView struct {
	OpComments                       *string           `json:"opComments"`
	ID                               int64             `json:"id"`
	Name                             string            `json:"name"`
	Barcode                          *string           `json:"barcode"`
	DisplayName                      *string           `json:"displayName"`
	TypeID                           *int64            `json:"typeId"`
	TypeName                         *string           `json:"typeName"`
	UsedFor                          string            `json:"usedFor"`
	ActivityStatus                   string            `json:"activityStatus"`
	SiteName                         *string           `json:"siteName"`
	StorageLocation                  *storageLocation  `json:"storageLocation"`
	CreatedBy                        *userSummary      `json:"createdBy"`
	NoOfColumns                      *int64            `json:"noOfColumns"`
	NoOfRows                         *int64            `json:"noOfRows"`
	PositionLabelingMode             string            `json:"positionLabelingMode"`
	PositionAssignment               string            `json:"positionAssignment"`
	ColumnLabelingScheme             string            `json:"columnLabelingScheme"`
	RowLabelingScheme                string            `json:"rowLabelingScheme"`
	FreePositions                    *int64            `json:"freePositions"`
	UsedPositions                    *int64            `json:"usedPositions"`
	StoreSpecimensEnabled            bool              `json:"storeSpecimensEnabled"`
	Capacity                         *int64            `json:"capacity"`
	StoredSpecimens                  *int64            `json:"storedSpecimens"`
	Automated                        bool              `json:"automated"`
	AutoFreezerProvider              *string           `json:"autoFreezerProvider"`
	ChildContainers                  *[]any            `json:"childContainers"`
	Starred                          *bool             `json:"starred"`
	Temperature                      *biobank.Quantity `json:"temperature"`
	CellDisplayProp                  string            `json:"cellDisplayProp"`
	Comments                         *string           `json:"comments"`
	AllowedSpecimenClasses           []string          `json:"allowedSpecimenClasses"`
	CalcAllowedSpecimenClasses       []string          `json:"calcAllowedSpecimenClasses"`
	AllowedSpecimenTypes             []string          `json:"allowedSpecimenTypes"`
	CalcAllowedSpecimenTypes         []string          `json:"calcAllowedSpecimenTypes"`
	AllowedCollectionProtocols       []string          `json:"allowedCollectionProtocols"`
	CalcAllowedCollectionProtocols   []string          `json:"calcAllowedCollectionProtocols"`
	AllowedDistributionProtocols     []string          `json:"allowedDistributionProtocols"`
	CalcAllowedDistributionProtocols []string          `json:"calcAllowedDistributionProtocols"`
	OccupiedPositions                *[]int64          `json:"occupiedPositions"`
	SpecimensByType                  *map[string]int64 `json:"specimensByType"`
	Status                           *string           `json:"status"`
	ExtensionDetail                  *extensionView    `json:"extensionDetail"`
}

// gatherContainers reads the branches of containers with what their views name. Of one container, and where statistics
// are asked for, it reads who holds the cells, too.
func gatherContainers(r *related, recs []*biobank.Record) error {
	if err := r.fetchBranches(recs...); err != nil {
		return err
	}
	var keys []biobank.Key
	var users []int64
	for _, rec := range recs {
		br := r.branches[rec.ID]
		keys = append(append(keys, setKey(biobank.ContainerType, br.Doc().TypeID)), extensionKeys(br.Doc().Extension)...)
		for _, id := range append(br.Doc().Protocols, br.Protocols()...) {
			keys = append(keys, setKey(biobank.Protocol, id))
		}
		for _, id := range append(br.Doc().Distributions, br.Distributions()...) {
			keys = append(keys, setKey(biobank.DistributionProtocol, id))
		}
		users = append(users, rec.CreatedBy)
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	if err := r.fetchUsers(users...); err != nil {
		return err
	}
	if !r.stats && len(recs) != 1 {
		return nil
	}
	ids := make([]int64, len(recs))
	for i, rec := range recs {
		ids[i] = rec.ID
	}
	var err error
	r.held, err = r.c.api.Registry.Occupants(r.c.Context(), r.c.at, ids...)
	return err
}

// fetchBranches reads what containers lie in, with their sites.
func (r *related) fetchBranches(recs ...*biobank.Record) error {
	recs = slices.DeleteFunc(slices.Clone(recs), func(rec *biobank.Record) bool { return rec == nil || r.branches[rec.ID] != nil })
	if len(recs) == 0 {
		return nil
	}
	got, err := r.c.api.Registry.Branches(r.c.Context(), recs)
	if err != nil {
		return err
	}
	if r.branches == nil {
		r.branches = map[int64]*biobank.Branch{}
	}
	var sites []biobank.Key
	for id, br := range got {
		r.branches[id] = br
		sites = append(sites, setKey(biobank.Site, br.Site()))
	}
	return r.fetch(sites...)
}

// fetchLocations reads the containers of locations, for locate.
func (r *related) fetchLocations(cells ...*biobank.Location) error {
	var keys []biobank.Key
	for _, cell := range cells {
		if cell != nil {
			keys = append(keys, setKey(biobank.Container, cell.ContainerID))
		}
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	var recs []*biobank.Record
	seen := map[biobank.Key]bool{}
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			recs = append(recs, r.recs[key])
		}
	}
	return r.fetchBranches(recs...)
}

// locate shows a location that was fetched; id -1 and nulls for none.
func (r *related) locate(cell *biobank.Location) (storageLocation, error) {
	if cell == nil {
		return storageLocation{ID: -1}, nil
	}
	doc, err := decodeAt[biobank.ContainerDoc](r, setKey(biobank.Container, cell.ContainerID))
	return locationIn(cell, &doc), err
}

func locationIn(cell *biobank.Location, in *biobank.ContainerDoc) storageLocation {
	v := storageLocation{
		ID: cell.ContainerID, Name: orNull(in.Name), DisplayName: orNull(in.DisplayName), Barcode: orNull(in.Barcode), Mode: orNull(in.Mode),
	}
	if cell.Row != 0 && !in.Dimensionless() {
		x, y := in.Labels(cell.Row, cell.Column)
		n := in.Ordinal(cell.Row, cell.Column)
		v.PositionX, v.PositionY, v.Position = &x, &y, &n
	}
	return v
}

// siteOf is the name of the site at which a stored object lies, null for one that is not stored.
func (r *related) siteOf(cell *biobank.Location) (*string, error) {
	if cell == nil || r.branches[cell.ContainerID] == nil {
		return nil, nil
	}
	return r.siteName(r.branches[cell.ContainerID].Site())
}

func viewContainer(r *related, rec *biobank.Record) (any, error) { return r.container(rec) }

func (r *related) container(rec *biobank.Record) (containerView, error) {
	br := r.branches[rec.ID]
	doc := br.Doc()
	classes, types := br.Kinds()
	v := containerView{
		ID: rec.ID, Name: doc.Name, Barcode: orNull(doc.Barcode), DisplayName: orNull(doc.DisplayName), TypeID: orNull(doc.TypeID),
		UsedFor: doc.UsedFor, ActivityStatus: doc.ActivityStatus, NoOfColumns: orNull(doc.Columns), NoOfRows: orNull(doc.Rows),
		PositionLabelingMode: doc.Mode, PositionAssignment: doc.Assignment, ColumnLabelingScheme: doc.ColumnScheme,
		RowLabelingScheme: doc.RowScheme, StoreSpecimensEnabled: doc.StoreSpecimens, Capacity: orNull(doc.Capacity),
		Automated: doc.Automated, AutoFreezerProvider: orNull(doc.AutoFreezer), Temperature: doc.Temperature,
		CellDisplayProp: br.CellDisplay(), Comments: orNull(doc.Comments), AllowedSpecimenClasses: orEmpty(doc.Classes),
		CalcAllowedSpecimenClasses: orEmpty(classes), AllowedSpecimenTypes: orEmpty(doc.Types), CalcAllowedSpecimenTypes: orEmpty(types),
	}
	if br.Archived() && v.ActivityStatus == biobank.StatusActive {
		v.ActivityStatus = biobank.StatusClosed // with what it lies in
	}
	if doc.CheckedOut != nil {
		out := "CHECKED_OUT"
		v.Status = &out
	}
	if doc.Parent != nil && len(br.Docs) > 1 {
		at := locationIn(doc.Parent, &br.Docs[1])
		v.StorageLocation = &at
	}
	kind, err := decodeAt[biobank.ContainerTypeDoc](r, setKey(biobank.ContainerType, doc.TypeID))
	if err != nil {
		return v, err
	}
	v.TypeName = orNull(kind.Name)
	if v.SiteName, err = r.siteName(br.Site()); err != nil {
		return v, err
	}
	if v.CreatedBy, err = r.summary(rec.CreatedBy); err != nil {
		return v, err
	}
	for _, titles := range []struct {
		into *[]string
		of   biobank.Type
		ids  []int64
	}{
		{&v.AllowedCollectionProtocols, biobank.Protocol, doc.Protocols},
		{&v.CalcAllowedCollectionProtocols, biobank.Protocol, br.Protocols()},
		{&v.AllowedDistributionProtocols, biobank.DistributionProtocol, doc.Distributions},
		{&v.CalcAllowedDistributionProtocols, biobank.DistributionProtocol, br.Distributions()},
	} {
		ids, err := r.visible(titles.of, titles.ids)
		if err != nil {
			return v, err
		}
		if *titles.into, err = r.shortTitles(titles.of, ids); err != nil {
			return v, err
		}
	}
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, true); err != nil {
		return v, err
	}
	if held, ok := r.held[rec.ID]; ok || r.held != nil {
		err = v.count(doc, rec.ID, held)
	}
	return v, err
}

// visible leaves out the collection or distribution protocols, fetched before, that the caller may not see.
func (r *related) visible(of biobank.Type, ids []int64) ([]int64, error) {
	var out []int64
	for _, id := range ids {
		sees, err := r.c.actor.Sees(r.recs[setKey(of, id)])
		if err != nil {
			return nil, err
		}
		if sees {
			out = append(out, id)
		}
	}
	return out, nil
}

// shortTitles names collection or distribution protocols that were fetched.
func (r *related) shortTitles(of biobank.Type, ids []int64) ([]string, error) {
	titles := []string{}
	for _, id := range ids {
		doc, err := decodeAt[struct {
			ShortTitle string `json:"shortTitle"`
		}](r, setKey(of, id))
		if err != nil {
			return nil, err
		}
		titles = append(titles, doc.ShortTitle)
	}
	return titles, nil
}

// count fills in who holds the cells. Blocked, kept and reserved cells count as used.
func (v *containerView) count(doc *biobank.ContainerDoc, id int64, held []biobank.Occupant) error {
	stored, taken := int64(0), []int64{}
	byType := map[string]int64{}
	for _, o := range held {
		if o.At.Row != 0 {
			taken = append(taken, doc.Ordinal(o.At.Row, o.At.Column))
		}
		if o.Record == nil || o.Kept || o.Record.Type != biobank.Specimen {
			continue
		}
		s, err := biobank.Decode[biobank.SpecimenDoc](o.Record)
		if err != nil {
			return err
		}
		stored++
		byType[s.Type]++
	}
	slices.Sort(taken)
	used := int64(len(held))
	v.OccupiedPositions, v.StoredSpecimens, v.UsedPositions, v.SpecimensByType = &taken, &stored, &used, &byType
	if !doc.Dimensionless() {
		free := doc.Cells() - int64(len(taken))
		v.FreePositions = &free
	}
	return nil
}
