package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// ResetFor is how long a token for a new password is good.
const ResetFor = 24 * time.Hour

// SetPassword sets a user's password, which also takes a lock away and ends the user's sessions. It returns
// USER_PASSWD_VIOLATES_RULES for one that is too weak, USER_PASSWD_SAME_AS_LAST_N for one that was used lately.
func (g *Guard) SetPassword(ctx context.Context, user int64, loginName, password string) error {
	if err := CheckStrength(loginName, password); err != nil {
		return err
	}
	hash, err := hashPassword(g.Random, password)
	if err != nil {
		return err
	}
	return g.change(ctx, loginKey(user), func(l *login, _ *Item) error {
		return g.renew(l, hash, password)
	})
}

// renew puts a new hash in a login.
func (g *Guard) renew(l *login, hash, password string) error {
	var last []string
	if n := g.PasswordsToExamine; n > 0 {
		if last = append([]string{l.Hash}, l.Old...); len(last) > n {
			last = last[:n]
		}
		if slices.ContainsFunc(last, func(old string) bool { return old != "" && verify(old, password) }) {
			return fault.New("USER_PASSWD_SAME_AS_LAST_N", "The password must differ from the last %d.", n)
		}
	}
	*l = login{Hash: hash, Epoch: l.Epoch + 1, Old: last, Last: l.Last}
	return nil
}

// ResetToken makes a token with which a user, or whoever is given it, may set a new password once. An earlier one is no
// longer good.
func (g *Guard) ResetToken(ctx context.Context, at time.Time, user int64) (token string, err error) {
	raw := make([]byte, randomBytes)
	if _, err := io.ReadFull(g.Random, raw); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(raw)
	err = g.change(ctx, loginKey(user), func(l *login, _ *Item) error {
		l.Reset, l.ResetUntil = resetHash(token), at.Add(ResetFor).UnixMilli()
		return nil
	})
	return token, err
}

// ResetPassword sets a password by a token of ResetToken, which is spent then. It returns USER_INVALID_PASSWD_TOKEN, or
// the faults of SetPassword, which leave the token as it is.
func (g *Guard) ResetPassword(ctx context.Context, at time.Time, user int64, loginName, token, password string) error {
	if err := CheckStrength(loginName, password); err != nil {
		return err
	}
	hash, err := hashPassword(g.Random, password)
	if err != nil {
		return err
	}
	return g.change(ctx, loginKey(user), func(l *login, _ *Item) error {
		same := subtle.ConstantTimeCompare([]byte(l.Reset), []byte(resetHash(token))) == 1
		if !same || at.UnixMilli() >= l.ResetUntil {
			return InvalidResetToken()
		}
		return g.renew(l, hash, password)
	})
}

// InvalidResetToken is the fault of a token by which no password can be set.
func InvalidResetToken() *fault.Fault {
	return fault.New("USER_INVALID_PASSWD_TOKEN", "The resetPasswordToken is not valid, or no longer.")
}

func resetHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
