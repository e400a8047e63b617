package odmapi_test

import "testing"

// The codes that an import, or the download of its log, can be answered with (reference section 5, levels R and J), also
// those that stand there as another name of one. Where nothing answers with one, it is told why; every other one is tested
// by TestImportsThatAreRefused or TestLogs.
var (
	importCodes = map[string]string{
		"errorCode.fileFormatNotSupported": "",
		"errorCode.invalidXMLFile":         "",
		"errorCode.missingStudyOID":        "",
		"errorCode.studyOidMissing":        "",
		"errorCode.studyOIDNotFound":       "",
		"errorCode.studyNotExist":          "",
		"errorCode.studyOIDNotAvailable":   "",
		"errorCode.studyNotAvailable":      "",
		"errorCode.siteNotAvailable":       "",
		"errorCode.noRoleSetUp":            "",
		"errorCode.noRoleSetup":            "another spelling of noRoleSetUp (section 2.3)",
		"errorCode.noSufficientPrivileges": "",
		"errorCode.multipleFiles":          "",
		"errorCode.missingItemFile":        "",
		"errorCode.importFailed":           "of imports within the request, of which there are none",
		"errorCode.accessDenied":           "never raised by 4.13; noRoleSetUp says so",
		"errorCode.studyLocked":            "never raised by 4.13; studyOIDNotAvailable says so",
		"errorCode.otherProcessInProgress": "of publishing, which is one write and keeps nobody waiting",
	}
	jobCodes = map[string]string{
		"errorCode.invalidUuid":            "",
		"error.invalidUuid":                "",
		"errorCode.jobInProgress":          "",
		"error.jobInProgress":              "",
		"errorCode.noSufficientPrivileges": "",
		"error.noLogFileFound":             "",
		"error.jobFailed":                  "a job that failed has a log, too",
		"error.jobDeleted":                 "a job that was deleted is unknown (section 2.5)",
		"error.incorrectUser":              "of deletions, which tell it in a header: TestJobs",
	}
)

// walked tells which codes of a list were not seen, and which were that nothing should answer with.
func walked(t *testing.T, codes map[string]string, seen map[string]bool) {
	t.Helper()
	for code, why := range codes {
		if seen[code] == (why != "") {
			t.Errorf("%s: answered %t, and not answered because %q", code, seen[code], why)
		}
	}
}
