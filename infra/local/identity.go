package local

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// identity is what a data folder keeps, so that the next start finds its tables again and clients keep their keys.
type identity struct {
	Prefix       string // of all physical names
	AccessKey    string
	SecretKey    string
	S3Addr       string // where S3 listened, and listens again when the port is free
	DynamoDBAddr string
}

// lockFolder keeps a second stack from using the same data.
func lockFolder(dir string) (unlock func(), err error) {
	unlock, err = lock(filepath.Join(dir, ".lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("a stack is running in %s already", dir)
	}
	return unlock, err
}

// loadIdentity reads the identity of a data folder, or makes one.
func loadIdentity(dir string, temporary bool) (identity, error) {
	var id identity
	text, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err == nil {
		err = json.Unmarshal(text, &id)
		return id, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	id = identity{Prefix: "aliquot", AccessKey: "AK" + rand.Text()[:18], SecretKey: rand.Text() + rand.Text()}
	if temporary && os.Getenv(dynamodbVariable) != "" {
		id.Prefix += "-" + randomName() // that DynamoDB may hold tables of another stack
	}
	return id, id.save(dir)
}

const identityFile = "identity.json"

func (id identity) save(dir string) error {
	text, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, identityFile), text, 0o600)
}
