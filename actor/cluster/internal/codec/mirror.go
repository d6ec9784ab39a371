package codec

import (
	"fmt"
	"reflect"

	"github.com/troupe-dev/troupe/actor"
)

// mirror is how a type with actor.PIDs in it is read from JSON. A PID is sent as its text, and cannot read that by itself,
// since it needs its System. So JSON is read into typ, which has a pidText wherever the type has a PID, and copied from
// there. This is prepared once, when the type is registered.
type mirror struct {
	typ  reflect.Type
	copy func(dst, src reflect.Value, sys *actor.System) error
}

// pidText stands for an actor.PID.
type pidText struct{ text string }

// UnmarshalText keeps the text of a PID.
func (p *pidText) UnmarshalText(text []byte) error {
	p.text = string(text)
	return nil
}

// holdsPID tells whether decoding a type has to bind PIDs in it.
func holdsPID(typ reflect.Type) bool { return holds(typ, make(map[reflect.Type]bool)) }

func holds(typ reflect.Type, seen map[reflect.Type]bool) bool {
	switch {
	case typ == pidType:
		return true
	case seen[typ] || unmarshals(typ):
		return false
	}
	seen[typ] = true
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return holds(typ.Elem(), seen)
	case reflect.Map:
		return typ.Key() == pidType || holds(typ.Elem(), seen)
	case reflect.Struct:
		for i := range typ.NumField() {
			if f := typ.Field(i); crosses(f) && holds(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// crosses tells whether JSON has the field, or those of a struct that is embedded in it.
func crosses(f reflect.StructField) bool {
	return f.Tag.Get("json") != "-" && (f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct)
}

// mirrorOf returns the mirror of a type, or why there can be none.
func mirrorOf(typ reflect.Type) (*mirror, string) {
	b := mirrorBuilder{}
	m := b.of(typ, false)
	return m, b.problem
}

// mirrorBuilder builds one mirror.
type mirrorBuilder struct {
	within  []reflect.Type // the types around the one that is being built
	problem string
}

// of returns the mirror of typ; nil: it needs none, and is copied as it is. all makes one for a struct without PIDs, too.
func (b *mirrorBuilder) of(typ reflect.Type, all bool) *mirror {
	if b.problem != "" || !all && !holdsPID(typ) {
		return nil
	}
	for _, outer := range b.within {
		if outer == typ {
			b.problem = fmt.Sprintf("%v contains itself and an actor.PID; use RegisterFunc", typ)
			return nil
		}
	}
	b.within = append(b.within, typ)
	defer func() { b.within = b.within[:len(b.within)-1] }()
	switch {
	case typ == pidType:
		return &mirror{reflect.TypeFor[pidText](), copyPID}
	case typ.Kind() == reflect.Pointer:
		return b.pointer(typ, all)
	case typ.Kind() == reflect.Slice:
		return b.slice(typ)
	case typ.Kind() == reflect.Array:
		return b.array(typ)
	case typ.Kind() == reflect.Map:
		return b.mapping(typ)
	}
	return b.structure(typ)
}

func copyPID(dst, src reflect.Value, sys *actor.System) error {
	text := src.Interface().(pidText).text
	if text == "" { // it was not there, or null
		return nil
	}
	pid, err := sys.ParsePID(text)
	if err != nil {
		return fmt.Errorf("a PID in it is malformed")
	}
	dst.Set(reflect.ValueOf(pid))
	return nil
}

func (b *mirrorBuilder) pointer(typ reflect.Type, all bool) *mirror {
	elem := b.of(typ.Elem(), all)
	if elem == nil {
		return nil
	}
	return &mirror{reflect.PointerTo(elem.typ), func(dst, src reflect.Value, sys *actor.System) error {
		if src.IsNil() {
			return nil
		}
		dst.Set(reflect.New(typ.Elem()))
		return elem.copy(dst.Elem(), src.Elem(), sys)
	}}
}

func (b *mirrorBuilder) slice(typ reflect.Type) *mirror {
	elem := b.of(typ.Elem(), false)
	if elem == nil {
		return nil
	}
	return &mirror{reflect.SliceOf(elem.typ), func(dst, src reflect.Value, sys *actor.System) error {
		if src.IsNil() {
			return nil
		}
		dst.Set(reflect.MakeSlice(typ, src.Len(), src.Len()))
		return copyElements(elem, dst, src, sys)
	}}
}

func (b *mirrorBuilder) array(typ reflect.Type) *mirror {
	elem := b.of(typ.Elem(), false)
	if elem == nil {
		return nil
	}
	return &mirror{reflect.ArrayOf(typ.Len(), elem.typ), func(dst, src reflect.Value, sys *actor.System) error {
		return copyElements(elem, dst, src, sys)
	}}
}

func copyElements(elem *mirror, dst, src reflect.Value, sys *actor.System) error {
	for i := range src.Len() {
		if err := elem.copy(dst.Index(i), src.Index(i), sys); err != nil {
			return err
		}
	}
	return nil
}

func (b *mirrorBuilder) mapping(typ reflect.Type) *mirror {
	key, elem := asItIs(typ.Key()), b.of(typ.Elem(), false)
	if typ.Key() == pidType {
		key = b.of(pidType, false)
	}
	if elem == nil {
		elem = asItIs(typ.Elem())
	}
	if b.problem != "" {
		return nil
	}
	return &mirror{reflect.MapOf(key.typ, elem.typ), func(dst, src reflect.Value, sys *actor.System) error {
		if src.IsNil() {
			return nil
		}
		dst.Set(reflect.MakeMapWithSize(typ, src.Len()))
		for it := src.MapRange(); it.Next(); {
			k, v := reflect.New(typ.Key()).Elem(), reflect.New(typ.Elem()).Elem()
			if err := key.copy(k, it.Key(), sys); err != nil {
				return err
			}
			if err := elem.copy(v, it.Value(), sys); err != nil {
				return err
			}
			dst.SetMapIndex(k, v)
		}
		return nil
	}}
}

// asItIs is the mirror of a type that needs none.
func asItIs(typ reflect.Type) *mirror {
	return &mirror{typ, func(dst, src reflect.Value, _ *actor.System) error {
		dst.Set(src)
		return nil
	}}
}

// structure mirrors the fields that JSON has. An embedded struct stays embedded, since its fields are those of the outer
// one; it gets a mirror in any case, because package reflect cannot embed a type with methods.
func (b *mirrorBuilder) structure(typ reflect.Type) *mirror {
	var fields []reflect.StructField
	var copies []func(dst, src reflect.Value, sys *actor.System) error
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !crosses(f) {
			continue
		}
		embedded := f.Anonymous && isStruct(f.Type) && !unmarshals(f.Type)
		m := b.of(f.Type, embedded)
		if b.problem != "" {
			return nil
		}
		if m == nil {
			m = asItIs(f.Type)
		}
		to := len(fields)
		mirrored := reflect.StructField{Name: f.Name, Type: m.typ, Tag: f.Tag, Anonymous: embedded}
		if embedded {
			mirrored.Name = fmt.Sprintf("Embedded%d", i) // exported, as a field of StructOf must be; JSON does not see it
		}
		fields = append(fields, mirrored)
		copies = append(copies, func(dst, src reflect.Value, sys *actor.System) error {
			return m.copy(dst.Field(i), src.Field(to), sys)
		})
	}
	return &mirror{reflect.StructOf(fields), func(dst, src reflect.Value, sys *actor.System) error {
		for _, f := range copies {
			if err := f(dst, src, sys); err != nil {
				return err
			}
		}
		return nil
	}}
}

// isStruct tells whether typ is a struct or a pointer to one.
func isStruct(typ reflect.Type) bool {
	return typ.Kind() == reflect.Struct || typ.Kind() == reflect.Pointer && typ.Elem().Kind() == reflect.Struct
}
