package hsm

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	slot := uint(17)
	for _, c := range []struct {
		in   string
		want URI
		out  string // "" as in
	}{
		{"pkcs11:", URI{}, ""},
		{"pkcs11:token=line%201", URI{Token: "line 1"}, ""},
		{"pkcs11:token=line-1;serial=68f46c74;model=SoftHSM%20v2;manufacturer=SoftHSM%20project",
			URI{Token: "line-1", Serial: "68f46c74", Model: "SoftHSM v2", Manufacturer: "SoftHSM project"},
			"pkcs11:token=line-1;manufacturer=SoftHSM%20project;serial=68f46c74;model=SoftHSM%20v2"},
		{"pkcs11:slot-id=17;object=a:b;id=%01%ff;type=secret-key", URI{SlotID: &slot, Object: "a:b", ID: []byte{1, 0xff}, Type: "secret-key"},
			"pkcs11:slot-id=17;object=a:b;id=%01%FF;type=secret-key"},
		{"pkcs11:?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin",
			URI{ModulePath: "/usr/lib/softhsm/libsofthsm2.so", PINSource: "file:/run/pin"}, ""},
		{"pkcs11:token=a&b?module-name=softhsm2", URI{Token: "a&b", ModuleName: "softhsm2"}, ""},
		{"pkcs11:token=%C3%BC%3B%3F%25?pin-source=file:///run/my%20pin",
			URI{Token: "ü;?%", PINSource: "file:///run/my pin"}, ""},
	} {
		got, err := ParseURI(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.in, got, err, c.want)
			continue
		}
		if c.out == "" {
			c.out = c.in
		}
		if got.String() != c.out {
			t.Errorf("got  %s\nwant %s", got, c.out)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	for in, words := range map[string]string{
		"":                                     `begins with "pkcs11:"`,
		"token=x":                              `begins with "pkcs11:"`,
		"pkcs11:token":                         "name=value",
		"pkcs11:;token=x":                      "name=value",
		"pkcs11:token=x;":                      "name=value",
		"pkcs11:token=x?":                      "name=value",
		"pkcs11:to%6ben=x":                     "name=value",
		"pkcs11:token=":                        "token is empty",
		"pkcs11:token=a;token=b":               "token is given twice",
		"pkcs11:token=line 1":                  "%20 must be percent-encoded",
		"pkcs11:token=a/b":                     "%2F must be percent-encoded",
		"pkcs11:token=%2":                      "two hexadecimal digits",
		"pkcs11:token=%+1":                     "two hexadecimal digits",
		"pkcs11:token=%zz":                     "two hexadecimal digits",
		"pkcs11:slot-id=-1":                    "slot-id: want a decimal number",
		"pkcs11:slot-id=007":                   "slot-id: want a decimal number",
		"pkcs11:slot-id=99999999999999999999":  "slot-id: want a decimal number",
		"pkcs11:type=key":                      "want public, private",
		"pkcs11:library-version=1":             "library-version: not known here",
		"pkcs11:module-path=%2fx":              "module-path: belongs after the ?",
		"pkcs11:?token=x":                      "token: not known here",
		"pkcs11:?pin-source=|pinentry":         "a PIN from a program is refused",
		"pkcs11:?pin-source=pin":               "want file: and an absolute path",
		"pkcs11:?pin-source=file:pin":          "want file: and an absolute path",
		"pkcs11:?module-path=a&module-path=b":  "given twice",
		"pkcs11:token=x?pin-value=correcthors": "pin-value is refused",
		"pkcs11:pin-value=correcthors":         "pin-value is refused",
	} {
		u, err := ParseURI(in)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", in, err, words)
		} else if strings.Contains(err.Error(), "correcthors") {
			t.Errorf("%s: the error repeats the PIN: %v", in, err)
		}
		if !reflect.DeepEqual(u, URI{}) {
			t.Errorf("%s: got %+v beside the error", in, u)
		}
	}
}

func FuzzURI(f *testing.F) {
	f.Add("pkcs11:token=line%201;id=%00%FF;slot-id=3?module-path=/x&pin-source=file:/y")
	f.Add("pkcs11:?pin-value=1234")
	f.Fuzz(func(t *testing.T, in string) {
		u, err := ParseURI(in)
		if err != nil {
			if !reflect.DeepEqual(u, URI{}) {
				t.Errorf("%q: %+v beside %v", in, u, err)
			}
			return
		}
		back, err := ParseURI(u.String())
		if err != nil || !reflect.DeepEqual(back, u) {
			t.Errorf("%q: %+v became %q, then %+v, %v", in, u, u, back, err)
		}
	})
}
