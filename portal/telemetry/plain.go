package telemetry

import (
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"time"
)

const (
	maxDepth = 4
	maxItems = 32
	// maxValue bounds all of one attribute that is a struct, a map or a list, in
	// bytes as far as it matters.
	maxValue = 16 << 10
)

// plain turns any value into one that can be logged: numbers and text as they
// are, errors and what knows its own text as that text, bytes as their number,
// and structs, maps and lists of those, each with the secret ones struck out.
func plain(v any) (out any) {
	// A String method on a nil pointer must not take the line with it.
	defer func() {
		if p := recover(); p != nil {
			out = fmt.Sprintf("[%T cannot be shown]", v)
		}
	}()
	w := walk{left: maxValue}
	return w.value(reflect.ValueOf(v), maxDepth)
}

// walk goes through one value, until so many bytes are spent.
type walk struct{ left int }

func (w *walk) text(s string) string {
	s = bounded(s, max(0, min(maxText, w.left)))
	w.left -= len(s)
	return s
}

func (w *walk) value(v reflect.Value, depth int) any {
	if w.left -= 8; !v.IsValid() {
		return nil
	}
	if v.CanInterface() {
		if said, ok := w.ownWords(v.Interface(), depth); ok {
			return said
		}
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64) // JSON has no NaN
	case reflect.String:
		return w.text(v.String())
	}
	if depth <= 0 || w.left <= 0 {
		return "[" + v.Type().String() + "]"
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return w.value(v.Elem(), depth-1)
	case reflect.Slice, reflect.Array:
		return w.items(v, depth-1)
	case reflect.Map:
		return w.entries(v, depth-1)
	case reflect.Struct:
		m := map[string]any{}
		for f, value := range v.Fields() {
			if f.IsExported() {
				w.put(m, f.Name, value, depth-1)
			}
		}
		return m
	}
	return "[" + v.Type().String() + "]" // functions, channels
}

// ownWords asks a value what it wants to be in a log, the most careful way first.
func (w *walk) ownWords(v any, depth int) (any, bool) {
	switch v := v.(type) {
	case slog.LogValuer:
		said := slog.AnyValue(v).Resolve()
		switch said.Kind() {
		case slog.KindGroup:
			m := map[string]any{}
			for _, a := range said.Group() {
				if depth > 0 {
					w.put(m, a.Key, reflect.ValueOf(a.Value.Any()), depth-1)
				}
			}
			return m, true
		case slog.KindAny, slog.KindLogValuer:
			return fmt.Sprintf("[%T]", v), true // what it says may be itself again
		}
		return w.value(reflect.ValueOf(said.Any()), depth), true
	case []slog.Attr: // a group
		return w.ownWords(grouped(v), depth)
	case error:
		return w.text(v.Error()), true
	case time.Duration:
		return v.String(), true
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return fmt.Sprintf("[%T]", v), true
		}
		return w.text(string(b)), true
	case fmt.Stringer:
		return w.text(v.String()), true
	}
	return nil, false
}

// grouped is a group within a group as a value of its own.
type grouped []slog.Attr

// LogValue implements slog.LogValuer.
func (g grouped) LogValue() slog.Value { return slog.GroupValue(g...) }

func (w *walk) items(v reflect.Value, depth int) any {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return fmt.Sprintf("[%d bytes]", v.Len())
	}
	list := []any{}
	for i := range v.Len() {
		if i == maxItems || w.left <= 0 {
			return append(list, fmt.Sprintf("… [%d more]", v.Len()-i))
		}
		list = append(list, w.value(v.Index(i), depth))
	}
	return list
}

func (w *walk) entries(v reflect.Value, depth int) any {
	m := map[string]any{}
	for it := v.MapRange(); it.Next(); {
		if len(m) == maxItems || w.left <= 0 {
			m["…"] = fmt.Sprintf("[%d more]", v.Len()-len(m))
			break
		}
		w.put(m, fmt.Sprint(w.value(it.Key(), depth)), it.Value(), depth)
	}
	return m
}

func (w *walk) put(m map[string]any, key string, v reflect.Value, depth int) {
	if secretKey(key) {
		m[w.text(key)] = redacted
		return
	}
	m[w.text(key)] = w.value(v, depth)
}
