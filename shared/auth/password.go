package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// The cost of a hash: the least that OWASP recommends for argon2id. It takes about 50 ms.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	saltLen      = 16
	keyLen       = 32
)

// Passwords have at least minPassword characters; beyond maxPassword bytes they are refused, so that hashing has a bound.
const (
	minPassword = 8
	maxPassword = 128
)

// blank is the hash that an attempt for a login without a password is compared with, so that it takes as long. No
// password has it: its key is all zeros.
var blank = phc(make([]byte, saltLen), make([]byte, keyLen))

// CheckStrength returns USER_PASSWD_VIOLATES_RULES, with the rule, for a password that is too weak.
func CheckStrength(loginName, password string) error {
	var lower, upper, other bool
	for _, r := range password {
		switch {
		case unicode.IsControl(r):
			return violates()
		case unicode.IsLower(r):
			lower = true
		case unicode.IsUpper(r):
			upper = true
		default:
			other = true
		}
	}
	name := biobank.Fold(loginName)
	if !utf8.ValidString(password) || utf8.RuneCountInString(password) < minPassword || len(password) > maxPassword ||
		!lower || !upper || !other || name != "" && strings.Contains(biobank.Fold(password), name) {
		return violates()
	}
	return nil
}

func violates() *fault.Fault {
	return fault.New("USER_PASSWD_VIOLATES_RULES",
		"A password has %d to %d characters, among them a small letter, a capital letter, and a digit or sign; "+
			"it does not contain the login name.", minPassword, maxPassword)
}

// hashPassword returns the PHC text of a password with a fresh salt.
func hashPassword(random io.Reader, password string) (string, error) {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("draw a salt: %w", err)
	}
	return phc(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, keyLen)), nil
}

func phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// verify tells whether the password is that of a PHC text. It takes the time of a hash whatever it is given.
func verify(hash, password string) bool {
	if len(password) > maxPassword {
		password = ""
	}
	salt, want, cost, ok := parse(hash)
	if !ok {
		salt, want, cost, _ = parse(blank)
	}
	got := argon2.IDKey([]byte(password), salt, cost.time, cost.memory, cost.threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && ok
}

type cost struct {
	memory, time uint32
	threads      uint8
}

// parse reads a PHC text of argon2id, also of another cost than today's.
func parse(hash string) (salt, key []byte, c cost, ok bool) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, nil, cost{}, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil {
		return nil, nil, cost{}, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return nil, nil, cost{}, false
	}
	key, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(key) == 0 || c.time == 0 || c.threads == 0 {
		return nil, nil, cost{}, false
	}
	return salt, key, c, true
}
