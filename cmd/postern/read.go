package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxConfig bounds the configuration file.
const maxConfig = 1 << 20

// reader fills a struct from YAML, strictly: an unknown key, a key written
// twice, a key without a value, an alias and a tag are faults. It knows the
// line of every key, and does not stop at the first fault.
//
// It reads nodes itself instead of letting the library fill the struct: that
// stops at a mistyped value, knows no paths, and gives the elements of a list
// no defaults.
type reader struct {
	faults Faults
	lines  map[string]int
	// elements holds what a new list element or pointer of a type starts from.
	elements map[reflect.Type]reflect.Value
	// told are paths of which nothing more needs to be said: that a reference
	// leads nowhere is one fault, not two.
	told map[string]bool
}

func newReader(elements ...any) *reader {
	r := &reader{lines: map[string]int{}, elements: map[reflect.Type]reflect.Value{}, told: map[string]bool{}}
	for _, e := range elements {
		r.elements[reflect.TypeOf(e)] = reflect.ValueOf(e)
	}
	return r
}

func (r *reader) fault(n *yaml.Node, path, format string, args ...any) {
	r.faults = append(r.faults, Fault{Line: n.Line, Path: path, What: fmt.Sprintf(format, args...)})
}

// read fills into, a pointer to a struct that holds the defaults.
func (r *reader) read(data []byte, into any) {
	var doc yaml.Node
	if err := yaml.Load(data, &doc, yaml.WithUniqueKeys(false)); err != nil {
		r.faults = append(r.faults, yamlFault(err))
		return
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.faults = append(r.faults, Fault{What: "the file is empty"})
		return
	}
	r.value(doc.Content[0], "", reflect.ValueOf(into).Elem())
}

// yamlFault takes the line out of the library's words.
func yamlFault(err error) Fault {
	var at *yaml.LoadError
	if errors.As(err, &at) {
		return Fault{Line: at.Mark.Line, What: at.Message}
	}
	return Fault{What: strings.TrimPrefix(err.Error(), "yaml: ")}
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (r *reader) value(n *yaml.Node, path string, v reflect.Value) {
	if path != "" {
		r.lines[path] = n.Line
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fault(n, path, "anchors and aliases are not used here")
		return
	case n.Style&yaml.TaggedStyle != 0:
		r.fault(n, path, "tags are not used here")
		return
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		r.fault(n, path, "has no value; leave the line out to keep the default")
		return
	}
	if v.Kind() == reflect.Pointer {
		// A pointer to a single value may be shared with the defaults: never
		// write through it.
		if v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
			v.Set(r.fresh(v.Type().Elem()).Addr())
		}
		v = v.Elem()
	}
	switch {
	case v.Type() == durationType, v.Addr().Type().Implements(textType):
		r.scalar(n, path, v)
	case v.Kind() == reflect.Struct:
		r.mapping(n, path, v)
	case v.Kind() == reflect.Slice:
		r.list(n, path, v)
	case v.Kind() == reflect.Map:
		r.table(n, path, v)
	default:
		r.scalar(n, path, v)
	}
}

func (r *reader) fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if e, ok := r.elements[t]; ok {
		v.Set(e)
	}
	return v
}

func (r *reader) mapping(n *yaml.Node, path string, v reflect.Value) {
	fields := map[string]reflect.Value{}
	for _, f := range fieldsOf(v.Type()) {
		fields[f.key] = v.FieldByIndex(f.index)
	}
	r.pairs(n, path, func(key, value *yaml.Node, at string) {
		field, ok := fields[key.Value]
		if !ok {
			r.fault(key, at, "unknown key%s", suggestion(key.Value, fields))
			return
		}
		r.value(value, at, field)
		r.lines[at] = key.Line
	})
}

func (r *reader) table(n *yaml.Node, path string, v reflect.Value) {
	// A new map: the defaults' own must not be written to.
	out := reflect.MakeMap(v.Type())
	r.pairs(n, path, func(key, value *yaml.Node, at string) {
		k := reflect.New(v.Type().Key()).Elem()
		k.SetString(key.Value)
		e := r.fresh(v.Type().Elem())
		if old := v.MapIndex(k); old.IsValid() {
			e.Set(old)
		}
		r.value(value, at, e)
		out.SetMapIndex(k, e)
	})
	for it := v.MapRange(); it.Next(); {
		if !out.MapIndex(it.Key()).IsValid() {
			out.SetMapIndex(it.Key(), it.Value())
		}
	}
	v.Set(out)
}

func (r *reader) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, path, "must be a group of keys")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" {
			r.fault(key, path, "a key must be a plain word")
			continue
		}
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		if line, twice := seen[key.Value]; twice {
			r.fault(key, at, "is already set on line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, n.Content[i+1], at)
	}
}

func (r *reader) list(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, path, "must be a list, like [a, b]")
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		e := r.fresh(v.Type().Elem())
		r.value(item, fmt.Sprintf("%s[%d]", path, i), e)
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

// scalar never repeats what was written: it may be a secret in the wrong place.
func (r *reader) scalar(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, path, "must be a single value")
		return
	}
	if v.Type() == durationType {
		d, err := time.ParseDuration(n.Value)
		if err != nil {
			r.fault(n, path, "must be a length of time, like 30s, 15m or 24h")
			return
		}
		v.SetInt(int64(d))
		return
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := t.UnmarshalText([]byte(n.Value)); err != nil {
			r.fault(n, path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Value != "true" && n.Value != "false" {
			r.fault(n, path, "must be true or false")
			return
		}
		v.SetBool(n.Value == "true")
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if err != nil {
			r.fault(n, path, "must be a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			r.fault(n, path, "must be a number")
			return
		}
		v.SetFloat(f)
	default:
		r.fault(n, path, "cannot be set in a file") // the test over the struct finds these
	}
}

// field is one key of a struct.
type field struct {
	key   string
	index []int
	typ   reflect.Type
}

// fieldsOf lists the keys of a struct, those of inlined structs among them, in
// the order of the source.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case strings.Contains(opts, "inline"):
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
		case name == "":
			// A key nobody chose is a key nobody documents.
			panic(fmt.Sprintf("%s.%s has no yaml tag", t, f.Name))
		default:
			out = append(out, field{key: name, index: []int{i}, typ: f.Type})
		}
	}
	return out
}

// add takes the faults a package's Validate found, which begin with the name
// of their key, to where that package's keys stand.
func (r *reader) add(prefix string, errs ...error) {
	for _, err := range flatten(errs) {
		key, what, ok := strings.Cut(err.Error(), ": ")
		if !ok || strings.ContainsAny(key, " \t") {
			key, what = "", err.Error()
		}
		path := strings.Trim(prefix+"."+key, ".")
		if r.told[path] {
			continue
		}
		r.faults = append(r.faults, Fault{Line: r.line(path), Path: path, What: what})
	}
}

// line of a key, or of what holds it.
func (r *reader) line(path string) int {
	for path != "" {
		if l, ok := r.lines[path]; ok {
			return l
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b.Bytes(), nil
}
