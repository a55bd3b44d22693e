//go:build !noentra

package entra

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"postern/directory"
)

// maxPeoplePages bounds a listing.
const maxPeoplePages = 20_000

// People implements directory.Lister: everybody whose account is this tenant's own.
func (d *Directory) People(ctx context.Context, each func(directory.ID) error) error {
	if err := d.atHome(ctx); err != nil {
		return err
	}
	top := int32(999)
	filter := "userType eq 'Member'"
	return d.pages(ctx, &users.UsersRequestBuilderGetQueryParameters{Filter: &filter, Top: &top, Select: []string{"id", "userPrincipalName", "onPremisesSyncEnabled"}},
		maxPeoplePages, func(m models.Userable) error {
			if truth(m.GetOnPremisesSyncEnabled()) {
				return nil
			}
			id := strings.ToLower(text(m.GetId()))
			if !guid.MatchString(id) {
				return fmt.Errorf("%w: Graph lists %q", directory.ErrUnavailable, id)
			}
			return each(directory.ID(d.name + ":" + id))
		})
}

// stopped is what each returned, to tell it from Graph's faults.
type stopped struct{ error }

// pages goes through a listing of users to its end, or fails: a list that ends early
// must not look whole.
func (d *Directory) pages(ctx context.Context, q *users.UsersRequestBuilderGetQueryParameters, most int, each func(models.Userable) error) error {
	next := ""
	seen := map[string]bool{}
	for range most {
		var page models.UserCollectionResponseable
		err := d.graph.ask(ctx, func(ctx context.Context) (err error) {
			if next == "" {
				page, err = d.graph.users().Get(ctx, &users.UsersRequestBuilderGetRequestConfiguration{QueryParameters: q})
			} else {
				page, err = d.graph.users().WithUrl(next).Get(ctx, nil)
			}
			if err == nil && (page == nil || page.GetValue() == nil) {
				err = errNothing
			}
			return err
		})
		if err != nil {
			return asUnavailable(err)
		}
		for _, m := range page.GetValue() {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
			}
			if err := each(m); err != nil {
				return err
			}
		}
		if next = text(page.GetOdataNextLink()); next == "" {
			return nil
		}
		if seen[next] {
			return fmt.Errorf("%w: Graph's pages go in a circle", directory.ErrUnavailable)
		}
		seen[next] = true
	}
	return fmt.Errorf("%w: more pages than can be read", directory.ErrUnavailable)
}

// searched are what the beginnings of words are compared with.
var searched = []string{"userPrincipalName", "givenName", "surname", "displayName", "mail"}

// Search implements directory.Searcher. A tenant has no branches, so that every base
// is outside of it; numbers are compared whole.
func (d *Directory) Search(ctx context.Context, q directory.Query) (directory.Found, error) {
	for _, b := range q.Scope.Bases {
		return directory.Found{}, fmt.Errorf("%w: %q", directory.ErrOutside, b)
	}
	if err := d.atHome(ctx); err != nil {
		return directory.Found{}, err
	}
	filter, top := searchFilter(parts(q.Text)), int32(q.Limit()+1)
	var hits []directory.Hit
	err := d.pages(ctx, &users.UsersRequestBuilderGetQueryParameters{Filter: &filter, Top: &top,
		Select: []string{"id", "userPrincipalName", "displayName", "mail", "accountEnabled", "userType", "onPremisesSyncEnabled"}}, maxPages, func(m models.Userable) error {
		if text(m.GetUserType()) == "Member" && !truth(m.GetOnPremisesSyncEnabled()) {
			hits = append(hits, directory.Hit{ID: directory.ID(d.name + ":" + strings.ToLower(text(m.GetId()))), Directory: d.name, Login: text(m.GetUserPrincipalName()),
				Name: text(m.GetDisplayName()), Mail: text(m.GetMail()), Disabled: !truth(m.GetAccountEnabled())})
		}
		if len(hits) > q.Limit() {
			return stopped{errEnough}
		}
		return nil
	})
	if _, enough := err.(stopped); err != nil && !enough {
		return directory.Found{}, err
	}
	return q.Gather(hits, len(hits) > q.Limit()), nil
}

var errEnough = fmt.Errorf("enough")

// What a search takes, as in the other directories: 2 to 64 code points, at most
// eight words, of which one has two.
const minTyped, maxTyped, maxWords = 2, 64, 8

// parts are the words of what was typed, and the whole with single spaces; nobody's
// where it cannot be looked for.
func parts(typed string) (words []string, whole string) {
	none := []string{nobody}
	n := utf8.RuneCountInString(strings.TrimSpace(typed))
	if n < minTyped || n > maxTyped || !typable(typed) {
		return none, nobody
	}
	useful := false
	for _, w := range strings.Fields(typed) {
		// "Lovelace, Ada" is how mail programs write it.
		if w = strings.Trim(w, ",;"); w != "" {
			words = append(words, w)
			useful = useful || utf8.RuneCountInString(w) >= minTyped
		}
	}
	if !useful || len(words) > maxWords {
		return none, nobody
	}
	return words, strings.Join(strings.Fields(typed), " ")
}

// searchFilter: every word begins a login, a name or an address, or the whole begins
// a display name, or is a number of theirs, as it is written.
func searchFilter(words []string, whole string) string {
	quote := func(s string) string { return strings.ReplaceAll(s, "'", "''") }
	begins := func(property, with string) string {
		return fmt.Sprintf("startswith(%s,'%s')", property, quote(with))
	}
	var each []string
	for _, w := range words {
		var any []string
		for _, p := range searched {
			any = append(any, begins(p, w))
		}
		each = append(each, "("+strings.Join(any, " or ")+")")
	}
	filter := "(" + strings.Join(each, " and ") + ") or " + begins("displayName", whole)
	if len(words) == 1 && strings.ContainsFunc(whole, unicode.IsDigit) {
		filter += fmt.Sprintf(" or employeeId eq '%s'", quote(words[0]))
	}
	if strings.Trim(whole, "0123456789 +-()./") == "" {
		filter += fmt.Sprintf(" or mobilePhone eq '%[1]s' or businessPhones/any(p:p eq '%[1]s')", quote(whole))
	}
	return filter
}
