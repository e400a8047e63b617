package clinical

import "cmp"

// Code is why an element was not taken, without the prefix that it has on the wire (section 5). The misspelt ones are the
// wire's. Codes of the reference that nothing raises are listed with the reason in the tests that raise all the others:
// codes_test.go in odmimport and odmapi.
type Code string

// Wire is the code as the log and the answers show it.
func (c Code) Wire() string {
	if c == CannotSignWithoutAttestation {
		return "errorcode." + string(c)
	}
	return "errorCode." + string(c)
}

// Sentence says a code in words, for what shows codes with messages: our own endpoints, and why a job failed.
func (c Code) Sentence() string { return cmp.Or(sentences[c], "This could not be done.") }

var sentences = map[Code]string{
	StudyOIDNotFound:       "There is no study or site with this OID in which you have a role.",
	SiteNotFound:           "There is no site with this OID in this study in which you have a role.",
	NoRoleSetUp:            "You have no role in this study.",
	NoSufficientPrivileges: "Your role does not allow this.",
	InvalidXMLFile:         "The document cannot be read.",
	FileFormatNotSupported: "The document must be a file whose name ends in .xml.",
	InvalidUUID:            "There is no upload with this UUID.",
	StudyOIDNotAvailable:   "The study is not open for data.",
	SiteNotAvailable:       "The site is not open for data.",
	KeyUsed:                "The Idempotency-Key came with another request before. Send another key with this one.",
}

// The codes of a request.
const (
	FileFormatNotSupported Code = "fileFormatNotSupported"
	InvalidXMLFile         Code = "invalidXMLFile"
	MissingStudyOID        Code = "missingStudyOID"
	StudyOIDNotFound       Code = "studyOIDNotFound"
	StudyOIDNotAvailable   Code = "studyOIDNotAvailable"
	SiteNotAvailable       Code = "siteNotAvailable"
	NoRoleSetUp            Code = "noRoleSetUp"
	NoSufficientPrivileges Code = "noSufficientPrivileges"
	MultipleFiles          Code = "multipleFiles"
	MissingItemFile        Code = "missingItemFile"
	InvalidUUID            Code = "invalidUuid"
	JobInProgress          Code = "jobInProgress"
)

// The codes of participants.
const (
	SubjectDataMissing                  Code = "subjectDataMissing"
	SubjectDoesNotContainStudyEventData Code = "subjectDoesNotContainStudyEventData"
	MissingParticipantID                Code = "missingParticipantID"
	ParticipantNotFound                 Code = "participantNotFound"
	ParticipantIdentifiersMismatch      Code = "participantIdentiersMismatch"
	MultipleParticipantsFound           Code = "multipleParticipantsFound"
)

// The codes of events.
const (
	EventDoesNotContainFormData Code = "eventDoesNotContainFormData"
	MissingStudyEventOID        Code = "missingStudyEventOID"
	InvalidStudyEventOID        Code = "invalidStudyEventOID"
	InvalidStudyEventRepeatKey  Code = "invalidStudyEventRepeatKey"
	EventRepeatKeyTooLarge      Code = "eventRepeatKeyTooLarge"
	EventNotAvailable           Code = "eventNotAvailable"
	RepeatKeyAndFormMismatch    Code = "repeatKeyAndFormMismatch"
	MissingStartDate            Code = "missingStartDate"
	InvalidStartDate            Code = "invalidStartDate"
	InvalidEndDate              Code = "invalidEndDate"
	EndDateBeforeStartDate      Code = "endDateBeforeStartDate"
)

// The codes of forms.
const (
	FormMissingStudyEventConstruct  Code = "formMissingStudyEventConstruct"
	FormDoesNotContainItemGroupData Code = "formDoesNotContainItemGroupData"
	MissingFormOID                  Code = "missingFormOid"
	FormOIDNotFound                 Code = "formOIDNotFound"
	FormLayoutOIDNotFound           Code = "formLayoutOIDNotFound"
	FormLayoutOIDNotAvailable       Code = "formLayoutOIDNotAvailable"
	FormStatusNotValid              Code = "formStatusNotValid"
	FormNotAvailable                Code = "formNotAvailable"
)

// The codes of item groups.
const (
	MissingItemGroupOID                Code = "missingItemGroupOID"
	ItemGroupOIDNotFound               Code = "itemGroupOIDNotFound"
	ItemGroupDoesNotContainItemData    Code = "itemGroupDoesNotContainItemData"
	InvalidItemGroupRepeatKey          Code = "invalidItemGroupRepeatKey"
	GroupRepeatKeyTooLarge             Code = "groupRepeatKeyTooLarge"
	GroupRepeatKeyLessThanOne          Code = "groupRepeatKeyLessThanOne"
	ItemGroupIsAlreadyRemoved          Code = "itemGroupIsAlreadyRemoved"
	ItemGroupRemovedAttributeIsInvalid Code = "itemGroupRemovedAttributeIsInvalid"
	NonRepeatingGroupCannotBeRemoved   Code = "nonRepeatingGroupCannotBeRemoved"
	FirstRepeatingGroupCannotBeRemoved Code = "firstRepeatingGroupCannotBeRemoved"
)

// The codes of items.
const (
	ItemNotFound            Code = "itemNotFound"
	ValueTooLong            Code = "valueTooLong"
	ValueTypeMismatch       Code = "valueTypeMismatch"
	InvalidDateFormat       Code = "invalidDateFormat"
	ValueChoiceCodeNotFound Code = "valueChoiceCodeNotFound"
)

// The codes of notes.
const (
	MissingDiscrepancyNoteType     Code = "missingDiscrepancyNoteType"
	DiscrepancyNoteTypeNotValid    Code = "discrepancyNoteTypeNotValid"
	AnnotationMustHaveOneChildNote Code = "annotationMustHaveOneChildNote"
	MissingChildNote               Code = "missingChildNote"
	MissingDiscrepancyNoteStatus   Code = "missingDiscrepancyNoteStatus"
	DiscrepancyNoteStatusNotValid  Code = "discrepancyNoteStatusNotValid"
	QueryStatusNotApplicable       Code = "queryStatusNotApplicable"
	NewQueryInBetweenOldQueries    Code = "newQueryInBetweenOldQueries"
	MissingUserName                Code = "missingUserName"
	UserNotValid                   Code = "userNotValid"
	AssignedUserNotValid           Code = "assignedUserNotValid"
	DetailedNoteMissing            Code = "detailedNoteMissing"
	DetailedNoteTextTooLong        Code = "detailedNoteTextTooLong"
	DiscrepancyNoteIDTooLong       Code = "discrepancyNoteIdTooLong"
	DiscrepancyNoteIDIsRedundant   Code = "discrepancyNoteIdIsRedundant"
	NoteIDAlreadyInUse             Code = "noteIdAlreadyInUse"
	ExistingNoteIDOnOtherItem      Code = "existingNoteIdOnOtherItem"
)

// The codes of verification and signatures.
const (
	SDVStatusNotValid                 Code = "sdvStatusNotValid"
	SDVStatusNotApplicable            Code = "sdvStatusNotApplicable"
	FormShouldBeCompleteForSDV        Code = "formStatusShouldBeCompleteForSettingSdvVerifiedStatus"
	SDVNotUpdatedBecauseOfItemFailure Code = "sdvStatusCannotBeUpdatedBecauseOfItemImportFailure"
	SignedStatusIsInvalid             Code = "signedStatusIsInvalid"
	EventIsNotEligibleToBeSigned      Code = "eventIsNotEligibleToBeSigned"
	CannotSignWithoutAttestation      Code = "cannotSignEventWithoutAttestation"
	AttestationIsMissing              Code = "attestationIsMissing"
	AttestationTextTooLong            Code = "attestationTextTooLong"
)
