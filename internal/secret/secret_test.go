package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNothingPrintsASecret(t *testing.T) {
	const key = "correct horse battery staple 123"
	source := []byte(key)
	s, err := New(source)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy()
	if !bytes.Equal(source, make([]byte, len(key))) {
		t.Error("New left the key in its source")
	}
	if string(s.Reveal()) != key {
		t.Error("Reveal does not give the key")
	}

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", s)
	out := log.String() + fmt.Sprint(s) + s.String() + s.GoString()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d", "%p"} {
		out += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, struct{ K *Bytes }{s}) + fmt.Sprintf(verb, struct{ k *Bytes }{s}) + fmt.Sprintf(verb, &struct{ k *Bytes }{s})
	}
	for _, leak := range []string{key, fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), fmt.Sprint([]byte(key))} {
		if strings.Contains(out, leak) {
			t.Errorf("output holds the key as %q", leak)
		}
	}
	if _, err := json.Marshal(struct{ K *Bytes }{s}); !errors.Is(err, ErrMarshal) {
		t.Errorf("json.Marshal: got %v, want ErrMarshal", err)
	}
	if err := gob.NewEncoder(&log).Encode(s); !errors.Is(err, ErrMarshal) {
		t.Errorf("gob: got %v, want ErrMarshal", err)
	}
}

func TestDestroy(t *testing.T) {
	s, err := New([]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	s.Destroy()
	s.Destroy()
	if s.Len() != 0 || s.Reveal() != nil {
		t.Error("a destroyed secret still has bytes")
	}
	var none *Bytes
	none.Destroy()
	if none.Len() != 0 {
		t.Error("nil secret has length")
	}
}
