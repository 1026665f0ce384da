package citizen

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"

	"rsc.io/qr"

	"github.com/passerelle-hub/passerelle/httpapi/page"
)

// Sizes of the printed code: modules of light around it (ISO/IEC 18004 asks for
// four), pixels of a module.
const (
	quiet  = 4
	module = 12
)

// qr draws the address of a commune's page.
func (h *Handler) qr(draw func(*qr.Code) (kind string, body []byte, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ok := h.found(w, r)
		if !ok {
			return
		}
		// M: read with 15 % of it worn off a poster.
		code, err := qr.Encode(h.Site.PublicURL+c.Path(""), qr.M)
		if err != nil {
			h.unavailable(w, r, err)
			return
		}
		kind, body, err := draw(code)
		if err != nil {
			h.unavailable(w, r, err)
			return
		}
		page.Harden(w)
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", `inline; filename="quotient-familial-`+c.Siret+r.URL.Path[strings.LastIndexByte(r.URL.Path, '.'):]+`"`)
		w.Write(body)
	}
}

func pngOf(code *qr.Code) (string, []byte, error) {
	size := (code.Size + 2*quiet) * module
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y := range size {
		for x := range size {
			if code.Black(x/module-quiet, y/module-quiet) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, img)
	return "image/png", out.Bytes(), err
}

func svgOf(code *qr.Code) (string, []byte, error) {
	size := code.Size + 2*quiet
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, size, size, size, size)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			width := 0
			for code.Black(x+width, y) {
				width++
			}
			if width > 0 {
				fmt.Fprintf(&out, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, width, width)
				x += width
			}
		}
	}
	out.WriteString(`"/></svg>`)
	return "image/svg+xml", out.Bytes(), nil
}
