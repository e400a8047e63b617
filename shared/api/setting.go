package api

import (
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
)

// Settings (reference openspecimen-rest.md 2.4). The reference names settings and no calls; these are those that its server's
// clients know: a list, and a change of one at a time. All are for super administrators.

func settingRoutes() []route {
	n := noun{path: "/config-settings", typ: biobank.SettingType}
	return []route{
		{pattern: "GET " + n.path, summary: "List the settings", answers: []settingView{}, serve: listSettings},
		{pattern: "PUT " + n.path, summary: "Change a setting", answers: settingView{}, serve: changeSetting},
		auditRoute(n),
	}
}

type settingView struct {
	Module   string `json:"module"`
	Name     string `json:"name"`
	DataType string `json:"dataType"`
	// Value is null for what holds as the system was deployed.
	Value       *string `json:"value"`
	Description string  `json:"description"`
}

func viewSetting(s *biobank.Setting, doc biobank.SettingsDoc) settingView {
	v := settingView{Module: s.Module, Name: s.Name, DataType: "INT", Value: orNull(doc.Value(s)), Description: s.About}
	if s.Bool {
		v.DataType = "BOOLEAN"
	}
	return v
}

// listSettings serves GET /config-settings?module=&property=.
func listSettings(c *call) (any, error) {
	q := c.query()
	module, name := q.text("module"), q.text("property")
	doc, err := c.api.Registry.SettingsFor(c.Context(), c.actor)
	if err != nil {
		return nil, err
	}
	views := []settingView{}
	for _, s := range biobank.AllSettings() {
		if (module == "" || s.Module == module) && (name == "" || s.Name == name) {
			views = append(views, viewSetting(&s, doc))
		}
	}
	return views, nil
}

// changeSetting serves PUT /config-settings with {module, name, value}; a blank value stands for the default.
func changeSetting(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.SettingDraft{Module: in.text("module"), Name: in.text("name"), Value: in.word("value")}
	reason := in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Change{Op: biobank.Update, Draft: d, Reason: reason})
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.SettingsDoc](rec)
	if err != nil {
		return nil, err
	}
	s, err := biobank.FindSetting(d.Module, d.Name)
	if err != nil {
		return nil, err
	}
	return viewSetting(s, doc), nil
}

// guard signs in by the settings as they are now.
func (c *call) guard() (*auth.Guard, error) {
	doc, err := c.api.Registry.Settings(c.Context())
	if err != nil {
		return nil, err
	}
	return c.api.Guard.Under(doc.SignIn()), nil
}
