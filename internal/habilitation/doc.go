// Package habilitation is the domain: requests for an habilitation, the
// habilitations granted, their states and events, and the rules between them.
//
// It is pure: no I/O, no clock, no randomness. Whoever calls it gives the time
// and the ids. It imports the standard library and uuid only. States, events
// and JSON keys are DataPass's own, to the letter (datapass.md, 1 and 2).
//
// Decide says what a command does to a request of ours, Mirror what a body of
// DataPass makes of one of theirs, NextCredential where a credential goes. Each
// follows a table of rows; the first row that fits is taken.
//
// # The life of a request
//
//	event              from                                                                        to                 only if                                                        effects
//	create             -                                                                           draft                                                                             create
//	create_by_api      -                                                                           draft                                                                             create
//	update             draft, changes_requested                                                    unchanged                                                                         replace answers
//	update_by_api      draft, changes_requested, submitted                                         unchanged                                                                         replace answers
//	submit             draft, changes_requested                                                    submitted          not reopening                                                  last_submitted_at, consents
//	submit             draft, changes_requested, refused                                           submitted          reopening, answers differ from the latest habilitation         last_submitted_at, consents
//	request_changes    submitted                                                                   changes_requested
//	approve            submitted, changes_requested                                                validated                                                                         grant, earlier ones obsolete, last_validated_at, end reopening
//	refuse             submitted, changes_requested                                                refused            not reopening
//	refuse             submitted, changes_requested                                                validated          reopening, an habilitation is active                           restore latest habilitation, end reopening
//	refuse             submitted, changes_requested                                                revoked            reopening, no habilitation is active                           restore latest habilitation, end reopening
//	archive            draft, refused, revoked                                                     archived           no habilitation is active                                      end reopening
//	reopen             validated                                                                   draft              habilitation reopenable                                        reopened_at, reopening
//	cancel_reopening   draft, changes_requested, submitted                                         validated          reopening, an habilitation is active                           restore latest habilitation, end reopening
//	cancel_reopening   draft, changes_requested, submitted                                         revoked            reopening, no habilitation is active                           restore latest habilitation, end reopening
//	start_next_stage   validated                                                                   draft              next stage exists                                              enter next stage
//	cancel_next_stage  draft, changes_requested, submitted, refused                                validated          habilitation of the previous stage, an habilitation is active  back to previous stage, end reopening
//	cancel_next_stage  draft, changes_requested, submitted, refused                                revoked            habilitation of the previous stage, no habilitation is active  back to previous stage, end reopening
//	revoke             validated                                                                   revoked            whole request                                                  revoke habilitations
//	revoke             validated                                                                   revoked            one active habilitation, no other is active                    revoke habilitations
//	revoke             draft, submitted, changes_requested, validated, refused                     unchanged          one active habilitation                                        revoke habilitations
//	transfer           draft, submitted, changes_requested, validated, refused, archived, revoked  unchanged          new holder fits                                                transfer
//
// # The life of an habilitation
//
//	event            from              to
//	deprecate        active, obsolete  obsolete
//	revoke           active            revoked
//	revoke           obsolete          obsolete
//	rollback_revoke  revoked           active
//	rollback_revoke  obsolete          obsolete
//
// # The life of a credential (tokens.md, 4)
//
//	event             from                                                    to
//	prepare           requested                                               prepared
//	issue             prepared                                                issuing
//	issued            issuing                                                 active
//	fail              issuing                                                 failed
//	retry             failed                                                  issuing
//	near_end          active                                                  expiring
//	prolong           active, expiring                                        active
//	expire            active, expiring, rotating, suspended                   expired
//	rotate            active, expiring                                        rotating
//	rotation_dropped  rotating                                                active
//	grace_ended       rotating                                                replaced
//	suspend           active, expiring                                        suspended
//	resume            suspended                                               active
//	cancel            requested, prepared                                     cancelled
//	revoke            issuing, failed, active, expiring, rotating, suspended  revoking
//	refused_at_hub    revoking                                                revoked_at_hub
//	verified          revoked_at_hub                                          revoked_verified
package habilitation
