package definitions

import (
	"embed"
	"io/fs"
)

//go:embed catalogue
var catalogue embed.FS

// Catalogue is the folder of definitions that the program brings along:
// API Particulier, API Entreprise, API Impôt Particulier (both stages),
// FranceConnect, the QF form and the two HubEE services.
func Catalogue() fs.FS {
	folder, err := fs.Sub(catalogue, "catalogue")
	if err != nil { // the path is constant
		panic(err)
	}
	return folder
}
