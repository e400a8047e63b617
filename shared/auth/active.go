package auth

import (
	"context"
	"encoding/json"
	"fmt"
)

// ActiveSince tells which users have given their password on a day or later, in UTC as yyyy-MM-dd: by signing in, which
// everybody must do anew when a session has reached its limit, or with a request of Basic credentials. It reads their
// logins, 90 with a call; what a login did before days were kept is not known.
func (g *Guard) ActiveSince(ctx context.Context, day string, users []int64) (map[int64]bool, error) {
	keys := make([]string, len(users))
	for i, id := range users {
		keys[i] = loginKey(id)
	}
	items, err := g.items(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read logins: %w", err)
	}
	active := map[int64]bool{}
	for i, id := range users {
		item := items[keys[i]]
		if item == nil {
			continue
		}
		var l login
		if err := json.Unmarshal(item.Doc, &l); err != nil {
			return nil, fmt.Errorf("decode %s: %w", item.Key, err)
		}
		active[id] = l.Last >= day
	}
	return active, nil
}
