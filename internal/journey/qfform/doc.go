// Package qfform writes the files that a commune receives: FormulaireQF.json and
// FormulaireQF.xml, with the names and keys that communes' software reads today
// (qf-form.md, 3), and a PDF for people. FormulaireQF.schema.json is the JSON
// Schema of the first.
//
// It is pure: no I/O, no clock. It imports connectors for the shapes of an
// identity and a family, and the library that draws the PDF.
package qfform
