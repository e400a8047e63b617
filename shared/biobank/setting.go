package biobank

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// Settings of the system (reference openspecimen-rest.md 2.4, 12, 13 and 15.2). They lie in one record, so that a rule reads
// them with what else it reads, and what changes is in its audit. The reference names the settings of signing in and
// aliquot_qty_req; the names of the others are ours. Those about the life of a token and the address that it is good from
// count for sessions that begin after they were set: else every request would have to read them, and all the same record.

// SettingType is the type of the record of all settings.
const SettingType Type = "setting"

// SettingsID is the id of that record.
const SettingsID = 1

// Setting is one that can be changed.
type Setting struct {
	Module, Name string
	Bool         bool // else a whole number from Least to Most
	Least, Most  int64
	// Default is what holds while nothing is set; "" for what the system was deployed with.
	Default string
	About   string
}

func (s *Setting) key() string { return s.Module + "/" + s.Name }

// The settings.
var (
	settingFailures    = Setting{Module: "auth", Name: "allowed_failed_logins", Least: 1, Most: 1000, Default: "5", About: "After so many wrong passwords in a row a login is locked for a while."}
	settingSessions    = Setting{Module: "auth", Name: "max_login_sessions", Most: 1000, About: "So many sessions a user may have at once; with one more the oldest ends. 0 is any number: those from then end when as many have begun after them."}
	settingExamined    = Setting{Module: "auth", Name: "passwords_to_examine", Most: 100, About: "A new password must differ from so many of the last ones."}
	settingIdle        = Setting{Module: "auth", Name: "token_inactive_interval", Least: 1, Most: 100_000, About: "So many minutes without use end a session, of those that begin from now on."}
	settingAddress     = Setting{Module: "auth", Name: "verify_token_ip_address", Bool: true, About: "Sessions that begin from now on are good only from the address that they are begun from."}
	settingLockdown    = Setting{Module: "administrative", Name: "system_lockdown", Bool: true, About: "Only super administrators may sign in."}
	settingSite        = Setting{Module: "biospecimen", Name: "collection_site_req", Bool: true, Default: "false", About: "A registration must name its site."}
	settingUID         = Setting{Module: "biospecimen", Name: "participant_uid_req", Bool: true, Default: "false", About: "A participant must have a National ID."}
	settingAliquotsQty = Setting{Module: "biospecimen", Name: "aliquot_qty_req", Bool: true, Default: "true", About: "An aliquot must have an initial quantity."}
)

// AllSettings lists the settings.
func AllSettings() []Setting {
	return []Setting{settingLockdown, settingFailures, settingSessions, settingExamined, settingIdle, settingAddress, settingAliquotsQty, settingSite, settingUID}
}

// SettingsDoc are the settings that were set, by module and name.
type SettingsDoc map[string]string

// Value is what a setting is set to, else its default, which may be "".
func (d SettingsDoc) Value(s *Setting) string {
	if v, ok := d[s.key()]; ok {
		return v
	}
	return s.Default
}

// flag tells whether a setting is on.
func (d SettingsDoc) flag(s *Setting) bool { return d.Value(s) == "true" }

// SignInRules are the settings of signing in; nil for what was not set.
type SignInRules struct {
	Failures, Sessions, Examined, IdleMinutes *int
	Lockdown, SameAddress                     *bool
}

// SignIn are the settings of signing in.
func (d SettingsDoc) SignIn() SignInRules {
	number := func(s *Setting) *int {
		n, err := strconv.Atoi(d[s.key()])
		if err != nil {
			return nil
		}
		return &n
	}
	flag := func(s *Setting) *bool {
		v, ok := d[s.key()]
		if !ok {
			return nil
		}
		on := v == "true"
		return &on
	}
	return SignInRules{
		Failures: number(&settingFailures), Sessions: number(&settingSessions), Examined: number(&settingExamined),
		IdleMinutes: number(&settingIdle), Lockdown: flag(&settingLockdown), SameAddress: flag(&settingAddress),
	}
}

var settingsKey = SetKey(SettingType, SettingsID)

// Settings reads the settings, strongly.
func (r *Registry) Settings(ctx context.Context) (SettingsDoc, error) {
	recs, err := r.Store.Records(ctx, []Key{settingsKey}, true)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return Decode[SettingsDoc](recs[settingsKey])
}

// SettingsFor are the settings for who may see them: super administrators.
func (r *Registry) SettingsFor(ctx context.Context, a *Actor) (SettingsDoc, error) {
	if !a.Super() {
		return nil, adminOnly("see the settings")
	}
	return r.Settings(ctx)
}

// FindSetting finds a setting.
func FindSetting(module, name string) (*Setting, error) {
	for _, s := range AllSettings() {
		if s.Module == module && s.Name == name {
			return &s, nil
		}
	}
	return nil, fault.New("COMMON_INVALID_INPUT", "There is no setting %q of module %q that can be changed here.", name, module)
}

// settings are those of a batch, read once.
func (b *Batch) settings(ctx context.Context) (SettingsDoc, error) {
	rec, err := b.rec(ctx, settingsKey)
	if err != nil {
		return nil, err
	}
	return Decode[SettingsDoc](rec)
}

// SettingDraft sets one setting, for super administrators.
type SettingDraft struct{ Module, Name, Value string }

func (*SettingDraft) recordType() Type { return SettingType }

func (d *SettingDraft) want(context.Context, *Batch, *Change) error { return nil }

func (d *SettingDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(settingsKey)
	return nil
}

func (d *SettingDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if !b.actor.Super() {
		return adminOnly("change settings")
	}
	s, err := FindSetting(d.Module, d.Name)
	if err != nil {
		return err
	}
	value, err := s.canonical(d.Value)
	if err != nil {
		return err
	}
	rec, err := b.rec(ctx, settingsKey)
	if err != nil {
		return err
	}
	was, err := Decode[SettingsDoc](rec)
	if err != nil {
		return err
	}
	is := SettingsDoc{}
	maps.Copy(is, was)
	if is[s.key()] = value; value == "" {
		delete(is, s.key())
	}
	if rec == nil {
		return b.insert(c, SettingType, settingsKey, SettingsID, is, o)
	}
	return b.change(c, rec, is, o)
}

// canonical is a value as it is kept; blank stands for the default.
func (s *Setting) canonical(value string) (string, error) {
	value = strings.TrimSpace(value)
	switch {
	case value == "":
		return "", nil
	case s.Bool:
		if value = strings.ToLower(value); value != "true" && value != "false" {
			return "", fault.New("COMMON_INVALID_INPUT", "Setting %s is true or false.", s.Name)
		}
		return value, nil
	}
	n, err := json.Number(value).Int64()
	if err != nil || n < s.Least || n > s.Most {
		return "", fault.New("COMMON_INVALID_INPUT", "Setting %s is a whole number from %d to %d.", s.Name, s.Least, s.Most)
	}
	return strconv.FormatInt(n, 10), nil
}

// required tells what the settings ask for and is not there (section 12, CPR_COLLECTION_SITE_REQUIRED, and 13). A stored
// registration, nil for a new one, may be changed without it in other ways: it only cannot lose it, unless it is anonymized.
func (d *RegistrationDraft) required(ctx context.Context, b *Batch, l *fault.List, was, is *RegistrationDoc) error {
	set, err := b.settings(ctx)
	if err != nil || gone(is.ActivityStatus) {
		return err
	}
	if set.flag(&settingSite) && is.SiteID == 0 && (was == nil || was.SiteID != 0) {
		l.Add("CPR_COLLECTION_SITE_REQUIRED", "Give the site of the registration.")
	}
	if set.flag(&settingUID) && !d.Nameless && is.Participant.UID == "" && (was == nil || was.Participant.UID != "") {
		l.Add("PARTICIPANT_UID_REQUIRED", "Give the National ID (uid) of the participant.")
	}
	return nil
}
