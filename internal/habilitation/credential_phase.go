package habilitation

// Provisioning reports whether the credential is on its way to being live.
func (s CredentialState) Provisioning() bool {
	return s == CredentialRequested || s == CredentialPrepared || s == CredentialIssuing
}

// Revoking reports whether the credential is over here and its end at the
// manager is still to be proven.
func (s CredentialState) Revoking() bool {
	return s == CredentialRevoking || s == CredentialRevokedAtHub
}
