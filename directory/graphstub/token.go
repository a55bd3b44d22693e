package graphstub

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// The identity platform's own errors ("Microsoft Entra authentication and
// authorization error codes").
type refusal struct{ name, code, text string }

func (s *Server) routes() http.Handler {
	signIn, graph := http.NewServeMux(), http.NewServeMux()
	signIn.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.configuration)
	signIn.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.give)
	s.userRoutes(graph)
	s.methodRoutes(graph)
	s.tenantRoutes(graph)
	graph.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		segment := strings.TrimPrefix(r.URL.Path, "/v1.0/")
		s.fail(w, r, &fault{400, "BadRequest", "Resource not found for the segment '" + segment + "'."})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1.0/") {
			graph.ServeHTTP(w, r)
		} else {
			signIn.ServeHTTP(w, r)
		}
	})
}

func (s *Server) configuration(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("tenant") != s.cfg.Tenant {
		s.refuse(w, refusal{"invalid_tenant", "AADSTS90002", "Tenant '" + r.PathValue("tenant") + "' not found."})
		return
	}
	at := s.URL() + s.cfg.Tenant
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer": at + "/v2.0", "token_endpoint": at + "/oauth2/v2.0/token", "authorization_endpoint": at + "/oauth2/v2.0/authorize",
		"jwks_uri": at + "/discovery/v2.0/keys", "tenant_region_scope": "EU",
	})
}

func (s *Server) refuse(w http.ResponseWriter, r refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(map[bool]int{true: 401, false: 400}[r.name == "invalid_client"])
	_ = json.NewEncoder(w).Encode(map[string]any{"error": r.name, "error_description": r.code + ": " + r.text, "error_codes": []string{r.code[6:]}})
}

// give is the token endpoint ("OAuth 2.0 client credentials flow").
func (s *Server) give(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, refusal{"invalid_request", "AADSTS900144", "The request body cannot be read."})
		return
	}
	f := r.PostForm
	switch {
	case r.PathValue("tenant") != s.cfg.Tenant:
		s.refuse(w, refusal{"invalid_request", "AADSTS90002", "Tenant '" + r.PathValue("tenant") + "' not found."})
	case f.Get("grant_type") != "client_credentials":
		s.refuse(w, refusal{"unsupported_grant_type", "AADSTS70003", "The app requested an unsupported grant type."})
	case f.Get("client_id") != s.cfg.Client:
		s.refuse(w, refusal{"unauthorized_client", "AADSTS700016", "Application with identifier '" + f.Get("client_id") + "' was not found in the directory."})
	case !scope.MatchString(f.Get("scope")):
		s.refuse(w, refusal{"invalid_scope", "AADSTS70011", "The provided value for the input parameter 'scope' is not valid."})
	case !s.known(r):
		s.refuse(w, refusal{"invalid_client", "AADSTS7000215", "Invalid client secret provided, or the client assertion failed signature validation."})
	default:
		token, err := s.issue()
		if err != nil {
			s.refuse(w, refusal{"temporarily_unavailable", "AADSTS90033", "A transient error has occurred."})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		life := int(s.cfg.TokenLife.Seconds())
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token})
	}
}

// issue makes a token; as with Graph's own, nothing can be read from it.
func (s *Server) issue() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return "", err
	}
	token := hex.EncodeToString(b[:])
	s.tokens[token] = s.cfg.Now().Add(s.cfg.TokenLife)
	return token, nil
}

// scope is this Graph, at whatever loopback address it is reached.
var scope = regexp.MustCompile(`(^| )https://127\.\d+\.\d+\.\d+:\d+/\.default( |$)`)

// known checks the secret, or the assertion signed with the certificate's key
// ("Microsoft identity platform application authentication certificate credentials").
func (s *Server) known(r *http.Request) bool {
	f := r.PostForm
	if secret := f.Get("client_secret"); secret != "" {
		return s.cfg.Certificate == nil && subtle.ConstantTimeCompare([]byte(secret), []byte(s.cfg.Secret)) == 1
	}
	if s.cfg.Certificate == nil || f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(f.Get("client_assertion"), &claims, func(t *jwt.Token) (any, error) {
		der := s.cfg.Certificate.Raw
		old, fresh := sha1.Sum(der), sha256.Sum256(der)
		if t.Header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(fresh[:]) && t.Header["x5t#S256"] != base64.StdEncoding.EncodeToString(fresh[:]) &&
			t.Header["x5t"] != base64.StdEncoding.EncodeToString(old[:]) && t.Header["x5t"] != base64.RawURLEncoding.EncodeToString(old[:]) {
			return nil, jwt.ErrTokenUnverifiable
		}
		return s.cfg.Certificate.PublicKey, nil
	}, jwt.WithValidMethods([]string{"RS256", "PS256", "ES256"}), jwt.WithExpirationRequired(), jwt.WithIssuer(s.cfg.Client), jwt.WithSubject(s.cfg.Client),
		jwt.WithAudience(s.URL()+s.cfg.Tenant+"/oauth2/v2.0/token"), jwt.WithTimeFunc(s.cfg.Now))
	return err == nil
}

func (s *Server) token(r *http.Request) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	until, there := s.tokens[token]
	switch {
	case !ok:
		return &fault{401, "InvalidAuthenticationToken", "Access token is empty."}
	case !there:
		return &fault{401, "InvalidAuthenticationToken", "Access token validation failure."}
	case !s.cfg.Now().Before(until):
		return &fault{401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."}
	}
	return nil
}
