package graphstub

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault is an error as Graph writes it ("Microsoft Graph error responses").
type fault struct {
	status        int
	code, message string
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func denied() error {
	return &fault{403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."}
}

func missing(ref string) error {
	return &fault{404, "Request_ResourceNotFound", fmt.Sprintf("Resource '%s' does not exist or one of its queried reference-property objects are not present.", ref)}
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = 200
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// guard is what every request passes: the record, what a test has put in between,
// the throttle.
func (s *Server) guard(next http.Handler) http.Handler {
	throttled := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := s.throttle(r); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			s.fail(w, r, &fault{429, "TooManyRequests", "Too many requests"})
			return
		}
		next.ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		between := s.intercept
		s.mu.Unlock()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if strings.HasPrefix(r.URL.Path, "/v1.0/") {
				s.requests = append(s.requests, Request{r.Method, strings.TrimPrefix(r.URL.Path, "/v1.0"), rec.status})
			}
		}()
		if between != nil {
			between(rec, r, throttled)
			return
		}
		throttled.ServeHTTP(rec, r)
	})
}

// throttle is how long the caller has to wait, as "Microsoft Graph throttling
// guidance" has it: so many requests in a window.
func (s *Server) throttle(r *http.Request) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Requests == 0 || !strings.HasPrefix(r.URL.Path, "/v1.0/") {
		return 0
	}
	now := s.cfg.Now()
	s.spent = slices.DeleteFunc(s.spent, func(t time.Time) bool { return !now.Before(t.Add(s.cfg.Window)) })
	if len(s.spent) >= s.cfg.Requests {
		return s.spent[0].Add(s.cfg.Window).Sub(now)
	}
	s.spent = append(s.spent, now)
	return 0
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{500, "InternalServerError", err.Error()}
	}
	id := idOf("request", s.cfg.Now().String()+r.URL.String())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("request-id", id)
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": f.code, "message": f.message,
		"innerError": map[string]any{"date": s.cfg.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": id}}})
}

// answer writes a value; nil is 204.
func (s *Server) answer(w http.ResponseWriter, status int, context string, v map[string]any) {
	w.Header().Set("request-id", idOf("request", s.cfg.Now().String()))
	if v == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	w.WriteHeader(status)
	out := map[string]any{"@odata.context": s.Graph() + "/v1.0/$metadata#" + context}
	for k, x := range v {
		out[k] = x
	}
	_ = json.NewEncoder(w).Encode(out)
}

// call is a route's work: what it returns is answered under the context given.
type call func(r *http.Request, q url.Values) (status int, context string, v map[string]any, err error)

// route checks the token, the permissions (any of those given is enough, as the
// "Permissions" table of each page says) and the query options, and then answers.
func (s *Server) route(may []string, options []string, f call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.token(r); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+s.URL()+`common/oauth2/authorize"`)
			s.fail(w, r, err)
			return
		}
		if !slices.ContainsFunc(may, func(p string) bool { return slices.Contains(s.cfg.Consent, p) }) {
			s.fail(w, r, denied())
			return
		}
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			s.fail(w, r, &fault{400, "BadRequest", "The query string cannot be read."})
			return
		}
		for name := range q {
			if strings.HasPrefix(name, "$") && !slices.Contains(options, name) {
				s.fail(w, r, &fault{400, "BadRequest", fmt.Sprintf("The query parameter '%s' is not supported.", name)})
				return
			}
		}
		status, context, v, err := f(r, q)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.answer(w, status, context, v)
	})
}

// maxBody is more than any request here needs.
const maxBody = 64 << 10

// body reads a JSON object with the properties named, and no others, each of its type.
func body(r *http.Request, types map[string]string) (map[string]any, error) {
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &fault{400, "BadRequest", "The request body cannot be decompressed."}
		}
		in = z
	}
	data, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err != nil || len(data) > maxBody {
		return nil, &fault{413, "RequestEntityTooLarge", "The request is too large."}
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil, &fault{415, "UnsupportedMediaType", "A content type of application/json is required."}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil || v == nil || d.More() {
		return nil, &fault{400, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."}
	}
	return v, typed(v, types, "")
}

// typed refuses unknown properties and wrong types. A property "a.b" is b inside of a.
func typed(v map[string]any, types map[string]string, under string) error {
	for name, x := range v {
		if name == "@odata.type" {
			continue
		}
		want, known := types[under+name]
		if !known {
			return &fault{400, "Request_BadRequest", fmt.Sprintf("Invalid property '%s'.", name)}
		}
		ok := false
		switch t := x.(type) {
		case string:
			ok = want == "string" || want == "time" && parses(t)
		case bool:
			ok = want == "bool"
		case json.Number:
			_, err := t.Int64()
			ok = want == "int" && err == nil
		case map[string]any:
			if ok = want == "object"; ok {
				if err := typed(t, types, under+name+"."); err != nil {
					return err
				}
			}
		case nil:
			ok = true
		}
		if !ok {
			return &fault{400, "Request_BadRequest", fmt.Sprintf("A value without a type name was found and no expected type is available, or the type of property '%s' is wrong.", name)}
		}
	}
	return nil
}

func parses(t string) bool {
	_, err := time.Parse(time.RFC3339Nano, t)
	return err == nil
}
