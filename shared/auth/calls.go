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
	sum := sha256.Sum256([]byte(what))
	minute := at.Unix() / 60
	key := "calls#" + hex.EncodeToString(sum[:16]) + "#" + strconv.FormatInt(minute, 10)
	for range most + 1 {
		item, err := g.Store.Get(ctx, key)
		if err != nil {
			return false, fmt.Errorf("count calls: %w", err)
		}
		var c calls
		if item == nil {
			item = &Item{Key: key}
		} else if err := json.Unmarshal(item.Doc, &c); err != nil {
			return false, fmt.Errorf("decode calls: %w", err)
		}
		if c.N >= most {
			return false, nil
		}
		c.N++
		err = g.put(ctx, item, c, time.Unix((minute+2)*60, 0))
		if !errors.Is(err, ErrChanged) {
			return err == nil, err
		}
	}
	return false, nil // as many others as are allowed were counted meanwhile
}
