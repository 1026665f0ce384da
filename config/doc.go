// Package config holds the typed settings of the hub.
//
// Settings come in layers, each over the one before: the defaults (Default),
// the YAML file, the environment (PASSERELLE_*, and DATABASE_URL for the
// database). Every secret may come from a file instead: `password_file` beside
// `password`, PASSERELLE_X_FILE beside PASSERELLE_X; both in one layer is a
// fault. Load reports every fault at once, each with its key and its place.
//
// The package never reads the environment itself: cmd hands it over. It knows
// no connector: a connector's own settings stay a YAML node until its Config
// type is known (Connector.Decode).
//
// It imports connectors (for Secret), caarlos0/env and yaml/v3 only.
package config
