package hsm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
)

// Every code that the pkcs11 package has a name for is in our table under the
// same name, with words and without a doubt about the PIN.
func TestEveryCodeHasWords(t *testing.T) {
	known := 0
	for code := range uint(0x400) {
		_, name, _ := strings.Cut(pkcs11.Error(code).Error(), "CKR_")
		a, ok := answers[code]
		if name != "" {
			known++
			if a.name != "CKR_"+name {
				t.Errorf("%#x: got %q, want CKR_%s", code, a.name, name)
			}
		}
		if ok && (a.words == "" || !strings.HasPrefix(a.name, "CKR_")) {
			t.Errorf("%#x: no words for %q", code, a.name)
		}
		if ok && strings.Contains(a.name, "_PIN_") && a.means == nil {
			t.Errorf("%s means nothing", a.name)
		}
	}
	if known < 85 {
		t.Errorf("only %d names to compare with", known)
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		code uint
		want string
		is   error
	}{
		{pkcs11.CKR_PIN_INCORRECT, "login: wrong PIN (CKR_PIN_INCORRECT)", ErrPIN},
		{pkcs11.CKR_PIN_LOCKED, "login: the PIN is locked after too many wrong ones (CKR_PIN_LOCKED)", ErrPIN},
		{pkcs11.CKR_DEVICE_REMOVED, "login: the token was removed (CKR_DEVICE_REMOVED)", ErrUnavailable},
		{pkcs11.CKR_DEVICE_MEMORY, "login: the token has no memory left (CKR_DEVICE_MEMORY)", ErrFull},
		{pkcs11.CKR_USER_PIN_NOT_INITIALIZED, "login: the token has no user PIN yet (CKR_USER_PIN_NOT_INITIALIZED)", ErrBlank},
		{0x80000042, "login: an error of this token's maker (CKR_VENDOR_DEFINED + 0x42)", nil},
		{0x7777, "login: an error that PKCS#11 does not know (0x7777)", nil},
	} {
		err := edge(failure("login", answerCode(c.code)))
		if err.Error() != "hsm: "+c.want {
			t.Errorf("got  %s\nwant hsm: %s", err, c.want)
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code || !isCode(err, c.code) {
			t.Errorf("%v lost its code", err)
		}
		for _, s := range []error{ErrPIN, ErrUnavailable, ErrFull, ErrBlank, ErrNoKey} {
			if errors.Is(err, s) != (s == c.is) {
				t.Errorf("%v is %v: %t", err, s, s != c.is)
			}
		}
	}
	if failure("x", nil) != nil || edge(nil) != nil {
		t.Error("no error became one")
	}
	if err := failure("x", fmt.Errorf("y")); err.Error() != "x: y" || isCode(err, pkcs11.CKR_CANCEL) {
		t.Errorf("got %v", err)
	}
}

func TestChoose(t *testing.T) {
	const ready = pkcs11.CKF_TOKEN_INITIALIZED | pkcs11.CKF_USER_PIN_INITIALIZED
	a := Info{Label: "line", Serial: "1", Model: "m", Manufacturer: "x", Slot: 5, Flags: ready}
	b := Info{Label: "line", Serial: "2", Model: "m", Manufacturer: "x", Slot: 6, Flags: ready}
	c, d := a, a
	c.SlotDescription, d.SlotDescription = "left", "right"
	blank := Info{Serial: "", Slot: 9}
	six := uint(6)
	for _, try := range []struct {
		name  string
		all   []Info
		u     URI
		want  Info
		err   error
		words string
	}{
		{"the only one", []Info{a, blank}, URI{}, a, nil, ""},
		{"by label", []Info{a, blank}, URI{Token: "line"}, a, nil, ""},
		{"by serial", []Info{a, b}, URI{Token: "line", Serial: "2"}, b, nil, ""},
		{"by slot", []Info{a, b}, URI{SlotID: &six}, b, nil, ""},
		{"two", []Info{a, b}, URI{Token: "line"}, Info{}, ErrTokens, `"line" serial 1 (slot-id=5, slot-description=""), "line" serial 2 (slot-id=6, slot-description=""); add serial=`},
		{"two without a serial", []Info{c, d}, URI{Token: "line"}, Info{}, ErrTokens, "; add slot-description="},
		{"by slot description", []Info{c, d}, URI{Token: "line", SlotDescription: "right"}, d, nil, ""},
		{"two alike", []Info{c, c}, URI{}, Info{}, ErrTokens, "; add slot-id="},
		{"none of that label", []Info{a, blank}, URI{Token: "other"}, Info{}, ErrNoToken, `the module has "line" serial 1`},
		{"another model", []Info{a}, URI{Token: "line", Model: "n"}, Info{}, ErrNoToken, "the module has"},
		{"another maker", []Info{a}, URI{Token: "line", Manufacturer: "n"}, Info{}, ErrNoToken, "the module has"},
		{"empty module", nil, URI{}, Info{}, ErrNoToken, "the module has none"},
		{"only a blank one", []Info{blank}, URI{}, Info{}, ErrBlank, "not initialised"},
		{"blank and wanted by label", []Info{blank}, URI{Token: "line"}, Info{}, ErrNoToken, "the module has none"},
	} {
		got, err := choose(try.all, try.u)
		if got != try.want || !errors.Is(err, try.err) || err != nil && !strings.Contains(err.Error(), try.words) {
			t.Errorf("%s: got %+v, %v, want %+v, %v %q", try.name, got, err, try.want, try.err, try.words)
		}
	}
}

func TestModulePath(t *testing.T) {
	libc, err := filepath.Glob("/lib*/*/libc.so.6")
	if err != nil || len(libc) == 0 {
		t.Fatal("no C library to mistake for a module", err)
	}
	for _, c := range []struct {
		u     URI
		words string
	}{
		{URI{}, "add ?module-path="},
		{URI{ModuleName: "no-such-module"}, "in none of the usual folders"},
		{URI{ModuleName: "../x"}, "name without folders"},
		{URI{ModulePath: "/no/such/module.so"}, "no such file"},
		{URI{ModulePath: "/dev/null"}, "/dev/null"},
		{URI{ModulePath: libc[0]}, "no PKCS#11 module"},
	} {
		_, err := Open(Config{URI: c.u})
		if !errors.Is(err, ErrNoModule) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%+v: got %v, want %q", c.u, err, c.words)
		}
	}
	byName, err := findModule("softhsm2", moduleDirs)
	if err != nil {
		t.Fatalf("%v; `make deps` installs it", err)
	}
	if got, err := modulePath(URI{ModuleName: "softhsm2"}); err != nil || got != byName {
		t.Errorf("got %s, %v, want %s", got, err, byName)
	}
}
