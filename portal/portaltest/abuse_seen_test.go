package portaltest

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
)

var (
	csrfValue   = regexp.MustCompile(`(name="?csrf"? value="?)[A-Za-z0-9_-]+`)
	caseReceipt = regexp.MustCompile(`P-[0-9A-Z]{4}-[0-9A-Z]{4}`)
	clockOnPage = regexp.MustCompile(`\b[0-9]{1,2}:[0-9]{2}( [AP]M)?`)
	requestLine = regexp.MustCompile(`X-Request-Id: .*`)
	waitLine    = regexp.MustCompile(`Retry-After: [0-9]+`)
	dateOnPage  = regexp.MustCompile(`datetime="[^"]*"`)
)

// seen is what a stranger can compare of an answer: everything but what is
// random or the time for everybody. The csrf field, request id and cookie are
// checked for their length instead of their value.
func (r reply) seen(login string) string {
	body := r.Body
	if id := r.Header["X-Request-Id"]; id != "" {
		body = strings.ReplaceAll(body, id, "REQUEST")
	}
	for _, typed := range []string{html.EscapeString(login), login} {
		if typed != "" {
			body = strings.ReplaceAll(body, typed, "LOGIN")
		}
	}
	body = csrfValue.ReplaceAllStringFunc(body, func(m string) string {
		p := csrfValue.FindStringSubmatch(m)
		return fmt.Sprintf("%sCSRF%d", p[1], len(m))
	})
	body = optionsOf.ReplaceAllStringFunc(body, func(m string) string { return fmt.Sprintf("OPTIONS%d", len(m)) })
	body = caseReceipt.ReplaceAllString(body, "RECEIPT")
	body = clockOnPage.ReplaceAllString(dateOnPage.ReplaceAllString(body, "DATE"), "TIME")
	lines := slices.Clone(r.Lines)
	for i, l := range lines {
		l = requestLine.ReplaceAllStringFunc(l, func(m string) string { return fmt.Sprintf("X-Request-Id %d", len(m)) })
		l = waitLine.ReplaceAllString(l, "Retry-After: some")
		if strings.HasPrefix(l, "Content-Length:") && strings.Contains(body, "LOGIN") {
			l = "Content-Length: of the page with the login in it"
		}
		lines[i] = l
	}
	var cookies []string
	for _, c := range r.Cookies {
		name, rest, _ := strings.Cut(c, "=")
		value, attributes, _ := strings.Cut(rest, ";")
		cookies = append(cookies, fmt.Sprintf("%s %d%s", name, len(value), attributes))
	}
	return fmt.Sprintf("%d %s\n%s\nSet-Cookie %d %s\n\n%s", r.Status, r.Location, strings.Join(lines, "\n"), len(r.Cookies), strings.Join(cookies, "|"), body)
}

// diff shows the first line in which two answers differ.
func diff(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(la), len(lb)) {
		var x, y string
		if i < len(la) {
			x = la[i]
		}
		if i < len(lb) {
			y = lb[i]
		}
		if x != y {
			return fmt.Sprintf("line %d:\n  %s\n  %s", i+1, x, y)
		}
	}
	return "nothing"
}
