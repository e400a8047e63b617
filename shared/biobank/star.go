package biobank

import (
	"context"
	"fmt"
	"strconv"
)

// Stars: what a user has marked to find it again. A star is a mark alone, without a record and without audit: it says
// nothing of the object and belongs to the user.

func starMark(user int64, t Type, id int64) string {
	return "star#" + strconv.FormatInt(user, 10) + "#" + IDMark(t, id)
}

// Star sets or takes away the actor's star on an object that the actor may see. Doing it again changes nothing.
func (r *Registry) Star(ctx context.Context, a *Actor, t Type, id int64, on bool) error {
	rec, err := r.Get(ctx, a, t, id)
	if err != nil {
		return err
	}
	m := Mark{Name: starMark(a.ID, t, id), To: rec.Key, ID: id}
	w := Write{Kind: InsertMark, Mark: m}
	if !on {
		w = Write{Kind: DropMark, Mark: m, WasTo: m.To}
	}
	// Exists and Conflict mean that it is as asked for already.
	if _, err := r.Store.Write(ctx, false, []Write{w}); err != nil {
		return fmt.Errorf("star a record: %w", err)
	}
	return nil
}

// Stars tells which of the objects the actor has starred.
func (r *Registry) Stars(ctx context.Context, a *Actor, t Type, ids []int64) (map[int64]bool, error) {
	stars := map[int64]bool{}
	if len(ids) == 0 {
		return stars, nil
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = starMark(a.ID, t, id)
	}
	marks, err := r.Store.Marks(ctx, dedupe(names), true)
	if err != nil {
		return nil, fmt.Errorf("look up stars: %w", err)
	}
	for _, m := range marks {
		stars[m.ID] = true
	}
	return stars, nil
}
