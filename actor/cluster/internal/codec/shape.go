package codec

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// jsonProblem returns why values of a type would not survive JSON, "" when they do. What JSON loses in silence, a field
// that is not exported, is a problem, too: locally such a message would work.
func jsonProblem(typ reflect.Type) string {
	c := jsonCheck{seen: make(map[reflect.Type]bool)}
	c.check(typ, "it")
	return c.problem
}

type jsonCheck struct {
	seen    map[reflect.Type]bool
	problem string // the first
}

// check looks at typ; where is what a problem calls it.
func (c *jsonCheck) check(typ reflect.Type, where string) {
	if c.problem != "" || c.seen[typ] || typ == pidType || typ == messageType {
		return
	}
	c.seen[typ] = true
	if marshals(typ) {
		if !unmarshals(typ) {
			c.problem = fmt.Sprintf("%s (%v) has a MarshalJSON or MarshalText, but nothing that reads it back", where, typ)
		}
		return
	}
	switch typ.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		c.problem = fmt.Sprintf("%s is a %v, which cannot leave its process", where, typ)
	case reflect.Interface:
		if typ.NumMethod() > 0 {
			c.problem = fmt.Sprintf("%s is a %v, and the other node would not know which type to make", where, typ)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		c.check(typ.Elem(), where)
	case reflect.Map:
		if !isKey(typ.Key()) {
			c.problem = fmt.Sprintf("%s has keys of type %v, which JSON cannot have", where, typ.Key())
			return
		}
		c.check(typ.Elem(), where)
	case reflect.Struct:
		for i := range typ.NumField() {
			c.checkField(typ.Field(i))
		}
	}
}

func (c *jsonCheck) checkField(f reflect.StructField) {
	switch {
	case f.Name == "_" || f.Tag.Get("json") == "-":
		return
	case f.Anonymous && !f.IsExported() && f.Type.Kind() == reflect.Struct: // its exported fields are those of the outer struct
	case !f.IsExported():
		c.problem = fmt.Sprintf("field %s is not exported and would be lost; export it, tag it `json:\"-\"`, or use RegisterFunc", f.Name)
		return
	}
	c.check(f.Type, "field "+f.Name)
}

// isKey tells whether JSON can have a map with such keys, and read it back.
func isKey(typ reflect.Type) bool {
	switch {
	case typ == pidType:
		return true
	case typ.Kind() == reflect.String:
		return true
	case typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	}
	return typ.Kind() >= reflect.Int && typ.Kind() <= reflect.Uintptr
}

// marshals and unmarshals tell whether a type sees to JSON by a method of its own.
func marshals(typ reflect.Type) bool {
	p := reflect.PointerTo(typ)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

func unmarshals(typ reflect.Type) bool {
	p := reflect.PointerTo(typ)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
