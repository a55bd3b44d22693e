package totp

import (
	"errors"
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the white border a scanner needs, in modules (ISO/IEC 18004).
const quiet = 4

// QRCode is a QR code as one SVG path of black runs. A template draws it with
//
//	<svg viewBox="0 0 {{.Size}} {{.Size}}" shape-rendering="crispEdges">
//	<rect width="{{.Size}}" height="{{.Size}}" fill="#fff"/>
//	<path d="{{.Path}}" stroke="#000" fill="none"/></svg>
//
// so that neither an image request nor trusted markup is needed.
type QRCode struct {
	Size int    `json:"size"` // width and height in modules, white border included
	Path string `json:"path"` // only digits, points, spaces and the letters M, m and h
}

// QR encodes text with medium error correction.
func QR(text string) (QRCode, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return QRCode{}, errors.New("totp: too long for a QR code")
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				// A line one module thick, through the middle of the row.
				fmt.Fprintf(&path, "M%d %d.5h%d", x+quiet, y+quiet, run)
				x += run
			}
		}
	}
	return QRCode{Size: code.Size + 2*quiet, Path: path.String()}, nil
}

// SVG is the whole picture, black on white in every colour scheme, because
// many scanners cannot read an inverted code.
func (q QRCode) SVG() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<rect width="%d" height="%d" fill="#fff"/><path d="%s" stroke="#000" fill="none"/></svg>`, q.Size, q.Size, q.Size, q.Size, q.Path)
}
