package plain

import "reflect"

// Value makes every string that a value holds a Line: fields of structures,
// elements of lists, what is pointed at. v is a pointer. Lists and what is pointed
// at are copied, so that whoever else has them keeps his own.
func Value(v any) { value(reflect.ValueOf(v).Elem()) }

func value(v reflect.Value) {
	if !v.CanSet() {
		return // not exported: nobody but its package shows it
	}
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); s != "" {
			v.SetString(Line(s))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			value(v.Field(i))
		}
	case reflect.Slice:
		if v.Len() == 0 || !holdsText(v.Type().Elem()) {
			return
		}
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		for i := range own.Len() {
			value(own.Index(i))
		}
		v.Set(own)
	case reflect.Array:
		if holdsText(v.Type().Elem()) {
			for i := range v.Len() {
				value(v.Index(i))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() && holdsText(v.Type().Elem()) {
			own := reflect.New(v.Type().Elem())
			own.Elem().Set(v.Elem())
			value(own.Elem())
			v.Set(own)
		}
	}
}

func holdsText(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Struct, reflect.Slice, reflect.Array, reflect.Pointer:
		return t.Kind() == reflect.String || t.Kind() == reflect.Struct || holdsText(t.Elem())
	}
	return false
}
