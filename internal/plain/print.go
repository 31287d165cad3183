package plain

import (
	"fmt"
	"io"
	"reflect"
)

// Fprintf is fmt.Fprintf for values of one line each: a text among them, or what
// becomes one, cannot begin another line or column, or act on the terminal.
func Fprintf(w io.Writer, format string, values ...any) (int, error) {
	line := make([]any, len(values))
	for i, v := range values {
		line[i] = oneLine(v)
	}
	return fmt.Fprintf(w, format, line...)
}

func oneLine(v any) any {
	switch v.(type) {
	case error, fmt.Stringer:
		return Line(fmt.Sprint(v))
	}
	if reflect.ValueOf(v).Kind() == reflect.String {
		return Line(fmt.Sprint(v))
	}
	return v
}
