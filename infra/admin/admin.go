// Package admin sets up an empty system: the institute and the two users that clients know by their ids (reference
// openspecimen-rest.md section 1, Ids), and the administrator's first password.
package admin

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
)

// What clients know an empty system by.
const (
	instituteID   = 1
	instituteName = "Default Institute"
	adminLogin    = "admin"
)

// Ensure makes what is missing of institute 1, user 1 (the system itself, which cannot sign in) and user 2 (admin), and
// gives the administrator the password if there is none yet; a blank one is drawn at random and returned. It returns ""
// where it set no password of its own making. Doing it again changes nothing.
func Ensure(ctx context.Context, r *biobank.Registry, g *auth.Guard, at time.Time, password string) (drawn string, err error) {
	seeds := []struct {
		key   biobank.Key
		last  int64 // of the ids that are taken
		draft biobank.Draft
	}{
		{biobank.SetKey(biobank.Institute, instituteID), instituteID, &biobank.InstituteDraft{
			ID: instituteID, Doc: biobank.InstituteDoc{Name: instituteName, ActivityStatus: biobank.StatusActive},
		}},
		{biobank.SetKey(biobank.User, biobank.SystemUserID), biobank.SystemUserID, &biobank.UserDraft{
			ID: biobank.SystemUserID, Institute: instituteName, Doc: biobank.UserDoc{
				FirstName: "System", LastName: "System", EmailAddress: "system@localhost", Type: biobank.UserContact,
				ActivityStatus: biobank.StatusActive,
			},
		}},
		{biobank.SetKey(biobank.User, biobank.AdminUserID), biobank.AdminUserID, &biobank.UserDraft{
			ID: biobank.AdminUserID, Institute: instituteName, Doc: biobank.UserDoc{
				FirstName: "System", LastName: "Administrator", EmailAddress: "admin@localhost", DomainName: biobank.Domain,
				LoginName: adminLogin, Type: biobank.UserSuper, ActivityStatus: biobank.StatusActive,
			},
		}},
	}
	system := &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{
		Type: biobank.UserSuper, ActivityStatus: biobank.StatusActive,
	}}
	for _, seed := range seeds {
		if err := ensure(ctx, r, system, at, seed.key, seed.last, seed.draft); err != nil {
			return "", err
		}
	}
	return ensurePassword(ctx, g, password)
}

func ensure(ctx context.Context, r *biobank.Registry, system *biobank.Actor, at time.Time, key biobank.Key, id int64, d biobank.Draft) error {
	recs, err := r.Fetch(ctx, key)
	if err != nil {
		return fmt.Errorf("look for %s %d: %w", key.Part, id, err)
	}
	if recs[key] != nil {
		return nil
	}
	// The counter must not give the id to anybody else. Numbers it has given already are others'; gaps are allowed.
	for n := int64(0); n < id; {
		if n, err = r.Store.Reserve(ctx, key.Part, 1); err != nil {
			return fmt.Errorf("set the %s id %d aside: %w", key.Part, id, err)
		}
	}
	out, err := r.Apply(ctx, system, at, []biobank.Change{{Op: biobank.Create, ID: biobank.SeedChange, Draft: d}})
	if err == nil {
		err = out[0].Err
	}
	if err != nil {
		return fmt.Errorf("make %s %d: %w", key.Part, id, err)
	}
	return nil
}

func ensurePassword(ctx context.Context, g *auth.Guard, password string) (drawn string, err error) {
	has, err := g.HasPassword(ctx, biobank.AdminUserID)
	if err != nil || has {
		return "", err
	}
	if password == "" {
		raw := make([]byte, 15)
		if _, err := io.ReadFull(g.Random, raw); err != nil {
			return "", fmt.Errorf("draw a password: %w", err)
		}
		drawn = "Aa1-" + base64.RawURLEncoding.EncodeToString(raw) // the prefix meets the rule of strength
		password = drawn
	}
	return drawn, g.SetPassword(ctx, biobank.AdminUserID, adminLogin, password)
}
