package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

func stateKey(user int64) string { return "ui#" + strconv.FormatInt(user, 10) }

// UIState is what SetUIState has kept for a user, nothing before.
func (g *Guard) UIState(ctx context.Context, user int64) (map[string]json.RawMessage, error) {
	item, err := g.Store.Get(ctx, stateKey(user))
	if err != nil {
		return nil, fmt.Errorf("read the state of a user's screens: %w", err)
	}
	state := map[string]json.RawMessage{}
	if item != nil {
		err = json.Unmarshal(item.Doc, &state)
	}
	return state, err
}

// SetUIState keeps what a user's screens want to find again. Of two at once the last one counts.
func (g *Guard) SetUIState(ctx context.Context, user int64, state map[string]json.RawMessage) error {
	for range 20 {
		item, err := g.Store.Get(ctx, stateKey(user))
		if err != nil {
			return fmt.Errorf("read the state of a user's screens: %w", err)
		}
		if item == nil {
			item = &Item{Key: stateKey(user)}
		}
		if err = g.put(ctx, item, state, time.Time{}); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return busy()
}
