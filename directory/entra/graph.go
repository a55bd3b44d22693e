//go:build !noentra

package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	abstractions "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/serialization"
	azureauth "github.com/microsoft/kiota-authentication-azure-go"
	json "github.com/microsoft/kiota-serialization-json-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"postern/directory"
)

// Built says whether this program can talk to a tenant.
const Built = true

// register does what the root client would: the SDK finds its serializers in tables
// of its own.
var register = sync.OnceFunc(func() {
	abstractions.RegisterDefaultSerializer(func() serialization.SerializationWriterFactory { return json.NewJsonSerializationWriterFactory() })
	abstractions.RegisterDefaultDeserializer(func() serialization.ParseNodeFactory { return json.NewJsonParseNodeFactory() })
})

// graph is the way to one tenant.
type graph struct {
	base    string // https://host/v1.0
	host    string
	adapter *core.GraphRequestAdapterBase
	tokens  *tokens
	close   func()
	timeout time.Duration
	scope   string
}

func newGraph(cfg Config, now func() time.Time, wait func(context.Context, time.Duration) error) (*graph, error) {
	register()
	authority, address := cfg.addresses()
	at, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	base := newTransport(nil, cfg.RequestTimeout)
	if cfg.CAFile != "" {
		pool, err := loadCA(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		base = newTransport(pool, cfg.RequestTimeout)
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	g := &graph{base: address + "/v1.0", host: at.Host, timeout: cfg.RequestTimeout, scope: address + "/.default", close: base.CloseIdleConnections}
	g.tokens = &tokens{sign: func() (azcore.TokenCredential, error) {
		return cfg.credential(authority, &http.Client{Transport: base, CheckRedirect: noRedirects, Timeout: cfg.RequestTimeout})
	}}
	if _, err := g.tokens.credential(); err != nil {
		return nil, err
	}
	auth, err := azureauth.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(g.tokens, []string{g.scope}, []string{at.Hostname(), at.Host})
	if err != nil {
		return nil, err
	}
	patient := &patience{base: base, host: at.Host, now: now, wait: wait}
	g.adapter, err = core.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(auth, core.GraphClientOptions{}, nil, nil,
		&http.Client{Transport: patient, CheckRedirect: noRedirects})
	if err != nil {
		return nil, err
	}
	g.adapter.SetBaseUrl(g.base)
	return g, nil
}

// users is a new builder at every call. One must not be used twice at the same time: the
// adapter writes into the map of path parameters that its requests share.
func (g *graph) users() *users.UsersRequestBuilder {
	return users.NewUsersRequestBuilderInternal(map[string]string{"baseurl": g.base}, g.adapter)
}

// credential makes what the application signs in with. It calls nobody.
func (c Config) credential(authority string, client *http.Client) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: authority}, Transport: client,
		Retry: policy.RetryOptions{MaxRetries: 1, RetryDelay: firstBackoff, MaxRetryDelay: time.Second, TryTimeout: c.RequestTimeout},
	}
	// Instance discovery asks the public cloud about the authority, whichever it is.
	elsewhere := c.Authority != ""
	switch {
	case c.Certificate != "":
		pem, err := os.ReadFile(c.Certificate)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		certs, key, err := azidentity.ParseCertificates(pem, nil)
		if err != nil {
			return nil, fmt.Errorf("certificate: %s: %w", c.Certificate, err)
		}
		return azidentity.NewClientCertificateCredential(c.Tenant, c.ClientID, certs, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: elsewhere})
	case c.ManagedIdentity:
		o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if c.ClientID != "" {
			o.ID = azidentity.ClientID(c.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(o)
	case c.WorkloadToken != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: elsewhere,
			ClientID: c.ClientID, TenantID: c.Tenant, TokenFilePath: c.WorkloadToken})
	}
	if c.Secret.Empty() {
		return nil, errors.New("client_secret: is empty or was not resolved")
	}
	return azidentity.NewClientSecretCredential(c.Tenant, c.ClientID, c.Secret.Reveal(),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: elsewhere})
}

// tokens is a credential that can be made to forget: Graph may end a token before
// its time, and azidentity keeps one to the end of it.
type tokens struct {
	sign func() (azcore.TokenCredential, error)
	mu   sync.Mutex
	now  azcore.TokenCredential
}

func (t *tokens) credential() (azcore.TokenCredential, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		c, err := t.sign()
		if err != nil {
			return nil, err
		}
		t.now = c
	}
	return t.now, nil
}

func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = nil
}

// GetToken implements azcore.TokenCredential.
func (t *tokens) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c, err := t.credential()
	if err != nil {
		return azcore.AccessToken{}, err
	}
	token, err := c.GetToken(ctx, o)
	if err != nil {
		return token, fmt.Errorf("%w: sign-in as the application: %w", directory.ErrUnavailable, brief(err))
	}
	return token, nil
}

// brief keeps of azidentity's pages the line that tells: the identity platform's own
// code and sentence. The rest repeats the request.
func brief(err error) error {
	text := err.Error()
	if i := strings.Index(text, "AADSTS"); i >= 0 {
		line, _, _ := strings.Cut(text[i:], "\n")
		line, _, _ = strings.Cut(line, `","`)
		line, _, _ = strings.Cut(line, ` Trace ID`)
		return errors.New(strings.TrimSpace(line))
	}
	return err
}

// call runs one question or write to Graph with a deadline of its own. A token that
// was ended before its time is exchanged once. The error is a *failure for what Graph
// said, or what patience says.
func (g *graph) call(ctx context.Context, f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	// The SDK may not survive an answer that nobody thought of.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %w: Graph's answer could not be read: %v", directory.ErrUnavailable, directory.ErrUncertain, r)
		}
	}()
	err = g.answer(f(ctx))
	var said *failure
	if errors.As(err, &said) && said.status == http.StatusUnauthorized {
		g.tokens.forget()
		err = g.answer(f(ctx))
	}
	return err
}

// answer turns the SDK's errors into ours.
func (g *graph) answer(err error) error {
	var said *odataerrors.ODataError
	var bare *abstractions.ApiError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		f := &failure{status: said.ResponseStatusCode}
		if e := said.GetErrorEscaped(); e != nil {
			f.code, f.message = text(e.GetCode()), text(e.GetMessage())
		}
		return f
	case errors.As(err, &bare):
		return &failure{status: bare.ResponseStatusCode, message: bare.Message}
	case errors.Is(err, directory.ErrUnavailable):
		return err
	}
	return fmt.Errorf("%w: Graph: %w", directory.ErrUnavailable, err)
}

// ask is call for what changes nothing.
func (g *graph) ask(ctx context.Context, f func(context.Context) error) error {
	err := g.call(ctx, f)
	var said *failure
	if errors.As(err, &said) {
		return said.reading()
	}
	if errors.Is(err, directory.ErrUncertain) {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, errors.New(err.Error()))
	}
	return err
}

// fetch gets one resource that is no user's, by its path and query.
func fetch[T serialization.Parsable](ctx context.Context, g *graph, path string, query url.Values, make serialization.ParsableFactory) (T, error) {
	var out T
	at, err := url.Parse(g.base + path)
	if err != nil {
		return out, err
	}
	at.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	err = g.ask(ctx, func(ctx context.Context) error {
		r := abstractions.NewRequestInformation()
		r.Method = abstractions.GET
		r.SetUri(*at)
		r.Headers.TryAdd("Accept", "application/json")
		v, err := g.adapter.Send(ctx, r, make, abstractions.ErrorMappings{"XXX": odataerrors.CreateODataErrorFromDiscriminatorValue})
		if err != nil {
			return err
		}
		got, ok := v.(T)
		if !ok {
			return fmt.Errorf("%w: Graph answered %s with nothing", directory.ErrUnavailable, path)
		}
		out = got
		return nil
	})
	return out, err
}

// fetchList is fetch for a list, all of which is on one page. One that is missing
// from the answer is not an empty one.
func fetchList[P interface {
	serialization.Parsable
	GetValue() []T
	GetOdataNextLink() *string
}, T any](ctx context.Context, g *graph, path string, query url.Values, make serialization.ParsableFactory) ([]T, error) {
	page, err := fetch[P](ctx, g, path, query, make)
	switch {
	case err != nil:
		return nil, err
	case page.GetValue() == nil:
		return nil, errNothing
	case page.GetOdataNextLink() != nil:
		return nil, fmt.Errorf("%w: %s has more than one page", directory.ErrUnavailable, path)
	}
	return page.GetValue(), nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func truth(b *bool) bool { return b != nil && *b }
