package api

import (
	"encoding/json"
	"time"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// What people do with their own accounts (reference openspecimen-rest.md sections 2.1 and 7): sign up, set a password by a
// token, and keep the state of their screens.

func accountRoutes() []route {
	return []route{
		{pattern: "POST /users/sign-up", public: true, summary: "Ask for an account", answers: userView{}, serve: signUp},
		{pattern: "POST /users/forgot-password", public: true, summary: "Ask for a mail with a token; there is none yet", answers: true, serve: forgotPassword},
		{pattern: "POST /users/reset-password", public: true, summary: "Set a password by a token", answers: true, serve: resetPassword},
		{pattern: "POST /users/{id}/reset-token", summary: "Make a token by which a user may set a password", answers: resetTokenView{}, serve: resetToken},
		{pattern: "GET /users/current-user-ui-state", summary: "Read what the caller's screens keep", answers: map[string]any{}, serve: uiState},
		{pattern: "PUT /users/current-user-ui-state", summary: "Keep something for the caller's screens", answers: map[string]any{}, serve: setUIState},
	}
}

// signUp makes a user who is Pending until an administrator sets Active, without rights and without a password. It is
// switched off unless the operator allows it (ALIQUOT_SIGN_UP).
func signUp(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.UserDraft{Institute: in.text("instituteName"), PrimarySite: in.text("primarySite"), Doc: userDoc(in)}
	if err := in.err(); err != nil {
		return nil, err
	}
	if !c.api.SignUp {
		return nil, fault.New("USER_SIGN_UP_NOT_ALLOWED", "Signing up is switched off. Ask an administrator for an account.")
	}
	// What only an administrator may give.
	d.Doc.Type, d.Doc.ActivityStatus, d.Doc.ManageForms = biobank.UserNone, biobank.UserPending, false
	d.Doc.DropFolder, d.Doc.APIUser, d.Doc.IPRange = nil, false, ""
	c.actor = &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}, From: c.from()}
	rec, err := c.apply(biobank.Change{Op: biobank.Create, Draft: d, Reason: "sign-up"})
	if err != nil {
		return nil, err
	}
	return c.showOne(users(), rec)
}

// forgotPassword would mail a token. There is no mail yet; an administrator makes one with POST /users/{id}/reset-token.
func forgotPassword(c *call) (any, error) {
	if _, err := c.body(); err != nil {
		return nil, err
	}
	return nil, fault.New("USER_FORGOT_PASSWD_DISABLED", "No mail is sent. Ask an administrator for a token to set a new password.")
}

// resetPassword sets a password by a token, once. To somebody who guesses, a user who does not exist looks like a token that
// is not valid.
func resetPassword(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	login, domain := in.text("loginName"), in.text("domainName")
	token, fresh := in.secret("resetPasswordToken"), in.secret("newPassword")
	if err := in.err(); err != nil {
		return nil, err
	}
	if token == "" {
		return nil, auth.InvalidResetToken()
	}
	who, err := c.candidate(domain, login)
	if err != nil {
		return nil, err
	}
	id := int64(0)
	if who.User != nil {
		id = who.User.ID
	}
	guard, err := c.guard()
	if err != nil {
		return nil, err
	}
	if err := guard.ResetPassword(c.Context(), c.at, id, login, token, fresh); err != nil {
		return nil, err
	}
	return true, nil
}

// resetTokenView is what an administrator hands to the user.
type resetTokenView struct {
	LoginName string `json:"loginName"`
	Token     string `json:"resetPasswordToken"`
	Expires   int64  `json:"expires"`
}

// resetToken makes a token for POST /users/reset-password, good for a day, for those who may set the user's password. The
// call is ours: it stands in for the mail of the reference.
func resetToken(c *call) (any, error) {
	rec, doc, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	if !c.actor.Administers(&doc) || rec.ID == biobank.SystemUserID {
		return nil, fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only an administrator may let a user set a password.")
	}
	if doc.LoginName == "" || doc.Type == biobank.UserContact {
		return nil, noPassword()
	}
	if err := c.tell(rec.ID, biobank.TokenGiven); err != nil {
		return nil, err
	}
	token, err := c.api.Guard.ResetToken(c.Context(), c.at, rec.ID)
	if err != nil {
		return nil, err
	}
	return resetTokenView{doc.LoginName, token, c.at.Add(auth.ResetFor).Truncate(time.Second).UnixMilli()}, nil
}

// maxUIState bounds what is kept for a user's screens, in bytes.
const maxUIState = 64 << 10

// uiState serves what was kept, with the token in use.
func uiState(c *call) (any, error) {
	kept, err := c.api.Guard.UIState(c.Context(), c.actor.ID)
	if err != nil {
		return nil, err
	}
	state := map[string]any{}
	for name, v := range kept {
		state[name] = v
	}
	state["authToken"] = c.token
	return state, nil
}

// setUIState keeps the object that is sent in place of the one before.
func setUIState(c *call) (any, error) {
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	if _, err := decode(text); err != nil {
		return nil, err
	}
	if len(text) > maxUIState {
		return nil, fault.New("COMMON_INVALID_INPUT", "The state is larger than %d KB.", maxUIState>>10)
	}
	state := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, invalid("The body must be a JSON object.").Wrap(err)
	}
	delete(state, "authToken")
	if err := c.api.Guard.SetUIState(c.Context(), c.actor.ID, state); err != nil {
		return nil, err
	}
	return state, nil
}
