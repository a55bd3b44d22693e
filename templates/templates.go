// Package templates holds the HTML of the web pages (web) and the text and
// HTML of mail (mail). Package portal/web/view reads and renders them.
package templates

import "embed"

// Files has the folders web and mail. An operator's folder of the same shape
// may be laid over it, file by file.
//
//go:embed web mail
var Files embed.FS
