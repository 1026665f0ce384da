package config

import "go.yaml.in/yaml/v3"

// Connector is one partner. Config stays a node: the table of connectors in cmd
// knows the type it is decoded into (Decode).
type Connector struct {
	Name        string      `yaml:"name" env:"NAME"`
	Type        string      `yaml:"type" env:"TYPE"`
	Environment Environment `yaml:"environment" env:"ENVIRONMENT"` // default: hub.environment
	Paused      bool        `yaml:"paused" env:"PAUSED"`           // nothing is sent, jobs wait
	Config      yaml.Node   `yaml:"config" env:"-"`
}
