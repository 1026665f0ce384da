// Package v1 serves DataPass's API v1, so that its clients work unchanged
// (datapass.md, 3): same keys, states, texts of errors and quirks; what differs
// is listed in datapass.md, 3.6. All its errors have the form errors[].
//
// The caller is an application. It sees the requests and habilitations of the
// definitions whose developer its owner is, native and mirrored alike; a
// mirrored one shows its source's ids. Each route asks for a scope of the token;
// what belongs to another definition does not exist for the caller:
//
//	route                                 scope                 without the developer role
//	GET /me                               -                     200
//	GET /definitions                      read_authorizations   200 []
//	GET /definitions/{uid}                read_authorizations   404
//	GET /definitions/{uid}/formulaires    read_authorizations   404
//	GET /demandes                         read_authorizations   200 []
//	GET /demandes/{id}                    read_authorizations   404
//	GET /demandes/{id}/events             read_authorizations   404
//	POST /demandes                        write_authorizations  403
//	PATCH /demandes/{id}                  write_authorizations  404
//	PUT /demandes/{id}                    write_authorizations  404
//	GET /habilitations                    read_authorizations   200 []
//	GET /habilitations/{id}               read_authorizations   404
//	GET /webhooks/{id}/attempts           read_webhooks         404
//
// It may import httpapi/auth, httpapi/problem, internal/habilitation,
// internal/registry and internal/store.
package v1
