package api

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"aliquot/shared/csvimport"
	"aliquot/shared/fault"
)

// The upload screen of unattended imports (reference openspecimen-import-query.md 3.9): files put in the caller's drop
// folder through the API.

func scheduleRoutes() []route {
	return []route{{pattern: "POST /import-jobs/schedule", summary: "Put files in the drop folder", answers: scheduledView{}, serve: scheduleFiles}}
}

// The limits of a ZIP (design.md section 8). The archive itself is at most the size of a body.
const (
	maxZipRatio   = 100
	maxZipEntries = 10_000
)

// dropped is a file to be put in the drop folder.
type dropped struct {
	name string
	open func() (io.ReadCloser, error)
	size int64 // at most; the entry of a ZIP may claim less than it holds
}

// scheduleFiles drops a CSV, or each CSV of a ZIP. All names are checked before anything is dropped. A file dropped a
// second time under its name is a new version and imported again.
func scheduleFiles(c *call) (any, error) {
	if !c.actor.Super() {
		return nil, fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only a super administrator may schedule files.")
	}
	if !c.actor.User.Drops() {
		return nil, fault.New("RBAC_ACCESS_DENIED", "Your drop folder is not switched on. Set dropFolder on your user first.")
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, maxBody)
	name, part, err := c.filePart()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(part)
	if err != nil {
		return nil, uploadBroke(err)
	}
	files := []dropped{{name, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }, int64(len(body))}}
	if strings.HasSuffix(strings.ToLower(name), ".zip") {
		if files, err = zipFiles(body); err != nil {
			return nil, err
		}
	}
	var l fault.List
	for _, f := range files {
		if _, err := csvimport.ParseFileName(f.name); err != nil {
			l.Append(err)
		}
	}
	if len(l) > 0 {
		return nil, l
	}
	for _, f := range files {
		if err := c.drop(f); err != nil {
			return nil, err
		}
	}
	return scheduledView{len(files)}, nil
}

type scheduledView struct {
	Scheduled int `json:"scheduled"`
}

// zipFiles lists the files of a ZIP, which are never unpacked anywhere but into objects of their own checked names.
func zipFiles(body []byte) ([]dropped, error) {
	refuse := func(format string, args ...any) ([]dropped, error) {
		return nil, fault.New("COMMON_INVALID_INPUT", "The ZIP file could not be used: "+format, args...)
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return refuse("it is damaged or no ZIP.")
	}
	if len(archive.File) > maxZipEntries {
		return refuse("it holds more than %d files.", maxZipEntries)
	}
	var files []dropped
	seen := map[string]bool{}
	for i, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		switch {
		case !f.Mode().IsRegular():
			return refuse("entry %d is no plain file.", i+1)
		case seen[f.Name]:
			return refuse("entry %d has the name of an earlier one.", i+1)
		}
		seen[f.Name] = true
		files = append(files, dropped{f.Name, f.Open, int64(f.CompressedSize64) * maxZipRatio})
	}
	if len(files) == 0 {
		return nil, fault.New("IMPORT_JOB_CSV_NOT_FOUND_IN_ZIP", "The ZIP file holds no CSV.")
	}
	return files, nil
}

// drop stores one file below the caller's login name. What is read beyond f.size is a bomb.
func (c *call) drop(f dropped) error {
	broken := func(why string) error {
		return fault.New("COMMON_INVALID_INPUT", "File %q of the ZIP could not be unpacked: %s.", f.name, why)
	}
	in, err := f.open()
	if err != nil {
		return broken("it is damaged")
	}
	defer in.Close()
	key := strings.ToLower(c.actor.User.LoginName) + "/" + f.name
	w := c.api.Blobs.Create(c.Context(), c.api.Intake, key, "text/csv")
	defer w.Abort()
	n, err := io.Copy(w, io.LimitReader(in, f.size+1))
	switch {
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF):
		return broken("it is damaged")
	case err != nil:
		return fmt.Errorf("drop a file: %w", err)
	case n > f.size:
		return broken(fmt.Sprintf("it unpacks to more than %d times its size", maxZipRatio))
	}
	return w.Close()
}
