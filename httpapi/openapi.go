package httpapi

import _ "embed"

// OpenAPI is the contract of both APIs: served, rendered at /docs/api, and held
// against every exchange of the tests (httpapi/apitest).
//
//go:embed openapi.yaml
var OpenAPI []byte
