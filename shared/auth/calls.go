package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// calls is the document of "calls#<hash of what>#<minute>".
type calls struct {
	N int `json:"n"`
}

// Allow counts a call of what, such as a path and the address of its caller, and tells whether it is among the first most
// of the minute. Minutes are those of the clock.
func (g *Guard) Allow(ctx context.Context, at time.Time, what string, most int) (bool, error) {
	for range most + 1 {
		item, c, err := g.counted(ctx, at, what)
		if err != nil || c.N >= most {
			return false, err
		}
		c.N++
		err = g.put(ctx, item, c, at.Truncate(time.Minute).Add(2*time.Minute))
		if !errors.Is(err, ErrChanged) {
			return err == nil, err
		}
	}
	return false, nil // as many others as are allowed were counted meanwhile
}

// called is how many calls of what were counted in this minute.
func (g *Guard) called(ctx context.Context, at time.Time, what string) (int, error) {
	_, c, err := g.counted(ctx, at, what)
	return c.N, err
}

func (g *Guard) counted(ctx context.Context, at time.Time, what string) (*Item, calls, error) {
	sum := sha256.Sum256([]byte(what))
	key := "calls#" + hex.EncodeToString(sum[:16]) + "#" + strconv.FormatInt(at.Unix()/60, 10)
	var c calls
	item, err := g.Store.Get(ctx, key)
	if err != nil {
		return nil, c, fmt.Errorf("count calls: %w", err)
	}
	if item == nil {
		return &Item{Key: key}, c, nil
	}
	if err := json.Unmarshal(item.Doc, &c); err != nil {
		return nil, c, fmt.Errorf("decode calls: %w", err)
	}
	return item, c, nil
}
