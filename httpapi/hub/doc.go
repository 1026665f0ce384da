// Package hub serves the hub's own API, /hub/v1: the life of requests from
// draft to archived, instruction included, their history, lists and search, and
// the life of the keys that they open.
//
// A handler decodes, and calls one command of internal/registry or one read of
// internal/store; errors leave as problem documents that name the field. Who
// may do what is decided by the tables of internal/habilitation alone; below is
// what they make of each route, for a request that is in the right state. 401
// is for callers without a token. A test walks it.
//
//	route                                        stranger  contact  member  verified  applicant  reporter  instructor  manager  developer  application  reader  admin
//	GET /me                                      200       200      200     200       200        200       200         200      200        200          200     200
//	GET /me/mails                                200       200      200     200       200        200       200         200      200        403          403     200
//	PUT /me/mails/{definition}/{kind}            204       204      204     204       204        204       204         204      204        403          403     204
//	GET /requests                                200       200      200     200       200        200       200         200      200        200          200     200
//	POST /requests                               422       201      201     201       201        422       422         422      422        201          403     422
//	GET /requests/{id}                           404       200      404     200       200        200       200         200      200        200          200     200
//	PATCH /requests/{id}                         404       403      403     403       200        403       403         403      403        200          403     403
//	GET /requests/{id}/history                   404       403      404     200       200        200       200         200      200        200          200     200
//	POST /requests/{id}/submit                   404       403      403     403       200        403       403         403      403        403          403     403
//	POST /requests/{id}/approve                  404       403      403     403       403        403       200         200      403        403          403     403
//	POST /requests/{id}/refuse                   404       403      403     403       403        403       200         200      403        403          403     403
//	POST /requests/{id}/request-changes          404       403      403     403       403        403       200         200      403        403          403     403
//	POST /requests/{id}/revoke                   404       403      403     403       403        403       200         200      403        403          403     403
//	POST /requests/{id}/archive                  404       403      403     403       200        403       200         200      403        403          403     403
//	POST /requests/{id}/reopen                   404       403      403     403       200        403       403         403      403        403          403     403
//	POST /requests/{id}/cancel-reopening         404       403      403     403       200        403       200         200      403        403          403     403
//	POST /requests/{id}/start-next-stage         404       403      403     403       200        403       403         403      403        403          403     403
//	POST /requests/{id}/cancel-next-stage        404       403      403     403       200        403       200         200      403        403          403     403
//	POST /requests/{id}/transfer                 404       403      200     200       200        403       200         200      403        403          403     403
//	POST /requests/{id}/transfer-to-organization 404       403      403     403       403        403       403         403      403        403          403     200
//	PUT /requests/{id}/recipient-key             404       204      404     403       204        403       403         403      403        403          403     403
//	DELETE /requests/{id}/recipient-key          404       204      404     403       204        403       403         403      403        403          403     403
//	GET /habilitations/{id}                      404       200      404     200       200        200       200         200      200        200          200     200
//	GET /webhooks/events                         200       200      200     200       200        200       200         200      200        200          403     200
//	GET /webhooks/events/{type}                  200       200      200     200       200        200       200         200      200        200          403     200
//	GET /webhooks/events/{type}/schema           200       200      200     200       200        200       200         200      200        200          403     200
//	GET /webhooks                                200       200      200     200       200        200       200         200      200        200          403     200
//	POST /webhooks                               403       403      403     403       403        403       403         403      201        201          403     403
//	GET /webhooks/{id}                           404       404      404     404       404        404       404         404      200        200          403     404
//	PATCH /webhooks/{id}                         404       404      404     404       404        404       404         404      200        200          403     404
//	DELETE /webhooks/{id}                        404       404      404     404       404        404       404         404      204        204          403     404
//	GET /webhooks/{id}/health                    404       404      404     404       404        404       404         404      200        200          403     404
//	GET /webhooks/{id}/history                   404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/test                     404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/enable                   404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/disable                  404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/rotate-secret            404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/end-rotation             404       404      404     404       404        404       404         404      200        200          403     404
//	GET /webhooks/{id}/messages                  404       404      404     404       404        404       404         404      200        200          403     404
//	GET /webhooks/{id}/messages/{message}        404       404      404     404       404        404       404         404      200        200          403     404
//	GET /webhooks/{id}/attempts                  404       404      404     404       404        404       404         404      200        200          403     404
//	GET /webhooks/{id}/tokens                    404       404      404     404       404        404       404         404      200        200          403     404
//	GET /webhooks/{id}/replays                   404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/replays                  404       404      404     404       404        404       404         404      201        201          403     404
//	GET /webhooks/{id}/replays/{replay}          404       404      404     404       404        404       404         404      200        200          403     404
//	POST /webhooks/{id}/replays/{replay}/cancel  404       404      404     404       404        404       404         404      200        200          403     404
//	GET /habilitations/{id}/keys                 404       200      404     200       200        200       200         200      200        200          200     200
//	GET /requests/{id}/keys                      404       200      404     200       200        200       200         200      200        200          200     200
//	GET /keys/{key}                              404       200      404     200       200        200       200         200      200        200          200     200
//	GET /keys/{key}/rotation                     404       200      404     200       200        200       200         200      200        200          200     200
//	GET /keys/{key}/prolongation                 404       200      404     200       200        200       200         200      200        200          200     200
//	POST /keys/{key}/rotate                      404       202      404     403       202        403       202         202      202        202          403     403
//	POST /keys/{key}/prolong                     404       202      404     403       202        403       403         403      403        403          403     403
//	POST /keys/{key}/revoke                      404       202      404     403       202        403       202         202      202        202          403     403
//	PUT /keys/{key}/allowed-ips                  404       200      404     403       200        403       200         200      200        200          403     403
//
// The webhooks are of the request's definition. member is of the request's organisation, verified one whose link with it is;
// application calls with its owner's developer roles and every scope, reader
// with the default ones.
//
// It may import internal/registry, internal/store, internal/habilitation,
// internal/eventtype, internal/jose, httpapi/auth, httpapi/page and httpapi/problem.
package hub
