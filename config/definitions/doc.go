// Package definitions reads the catalogue of what may be asked for: the YAML
// files of definitions, forms, service providers and eligibility rules, in
// DataPass's own schema (datapass.md, 4), and a rules.yml for what DataPass
// keeps in classes instead (5.3).
//
// Load gives an immutable Set, or a Report of every fault of the folder at
// once, each with its file, line, column and excerpt. Set.Bundle is the whole
// content as one value, to be stored and rebuilt with FromBundle. A catalogue
// of our own is embedded: Catalogue.
//
// Ruby is never run: three shapes of ERB tags are understood, any other is a
// fault. It may import internal/habilitation, the standard library and yaml.
package definitions
