package hsm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// URI is a PKCS#11 URI (RFC 7512) as far as this program uses one. An empty
// field says nothing.
type URI struct {
	Token        string
	Manufacturer string
	Serial       string
	Model        string
	SlotID       *uint
	// SlotDescription is that of the slot that holds the token.
	SlotDescription string
	Object          string // label of a key
	ID              []byte // CKA_ID of a key
	Type            string // public, private, cert, secret-key, data

	ModulePath string
	ModuleName string
	PINSource  string // file:/path
}

// PINFile is the file of the URI's pin-source; empty where it names none.
func (u URI) PINFile() string {
	path, ok := strings.CutPrefix(u.PINSource, "file:")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "//")
}

// ParseURI reads a PKCS#11 URI strictly: an attribute that is unknown, given
// twice, empty or not percent-encoded where it must be is an error. A PIN
// inside the URI is refused. Errors never repeat a value, which might be one.
func ParseURI(s string) (URI, error) {
	var u URI
	rest, ok := strings.CutPrefix(s, "pkcs11:")
	if !ok {
		return URI{}, errors.New(`hsm: URI: want one that begins with "pkcs11:"`)
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	seen := map[string]bool{}
	if path != "" {
		for _, part := range strings.Split(path, ";") {
			if err := u.add(part, seen, pathChars, u.pathField); err != nil {
				return URI{}, err
			}
		}
	}
	if hasQuery {
		for _, part := range strings.Split(query, "&") {
			if err := u.add(part, seen, queryChars, u.queryField); err != nil {
				return URI{}, err
			}
		}
	}
	return u, nil
}

// What may stand in a value without percent-encoding (RFC 7512, 2.3).
const (
	letters    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
	pathChars  = letters + ":[]@!$'()*+,=&"
	queryChars = letters + ":[]@!$'()*+,=/?|"
)

func (u *URI) add(part string, seen map[string]bool, chars string, set func(name, value string) error) error {
	name, encoded, ok := strings.Cut(part, "=")
	switch {
	case name == "pin-value":
		return errors.New("hsm: URI: pin-value is refused: the PIN would stand in files, process lists and logs; use pin-source=file:/path")
	case !ok || name == "" || strings.Trim(name, letters) != "":
		return errors.New("hsm: URI: want attributes as name=value, separated by ; and after the ? by &")
	case seen[name]:
		return fmt.Errorf("hsm: URI: %s is given twice", name)
	case encoded == "":
		return fmt.Errorf("hsm: URI: %s is empty", name)
	}
	seen[name] = true
	value, err := unescape(encoded, chars)
	if err == nil {
		err = set(name, value)
	}
	if err != nil {
		return fmt.Errorf("hsm: URI: %s: %w", name, err)
	}
	return nil
}

func (u *URI) pathField(name, value string) error {
	switch name {
	case "token":
		u.Token = value
	case "manufacturer":
		u.Manufacturer = value
	case "serial":
		u.Serial = value
	case "model":
		u.Model = value
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "slot-id":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != value {
			return errors.New("want a decimal number")
		}
		slot := uint(n)
		u.SlotID = &slot
	case "slot-description":
		u.SlotDescription = value
	case "type":
		switch value {
		case "public", "private", "cert", "secret-key", "data":
			u.Type = value
		default:
			return errors.New("want public, private, cert, secret-key or data")
		}
	case "module-path", "module-name", "pin-source":
		return errors.New("belongs after the ?")
	default:
		return errors.New("not known here; a token is named by token, serial, model, manufacturer, slot-id or slot-description")
	}
	return nil
}

func (u *URI) queryField(name, value string) error {
	switch name {
	case "module-path":
		u.ModulePath = value
	case "module-name":
		u.ModuleName = value
	case "pin-source":
		if strings.HasPrefix(value, "|") {
			return errors.New("a PIN from a program is refused; use file:/path")
		}
		if !strings.HasPrefix(value, "file:/") {
			return errors.New("want file: and an absolute path")
		}
		u.PINSource = value
	default:
		return errors.New("not known here; after the ? come module-path, module-name and pin-source")
	}
	return nil
}

// String writes the URI with its attributes in a fixed order.
func (u URI) String() string {
	var path, query []string
	put := func(list *[]string, name, value, chars string) {
		if value != "" {
			*list = append(*list, name+"="+escape(value, chars))
		}
	}
	put(&path, "token", u.Token, pathChars)
	put(&path, "manufacturer", u.Manufacturer, pathChars)
	put(&path, "serial", u.Serial, pathChars)
	put(&path, "model", u.Model, pathChars)
	if u.SlotID != nil {
		put(&path, "slot-id", strconv.FormatUint(uint64(*u.SlotID), 10), pathChars)
	}
	put(&path, "slot-description", u.SlotDescription, pathChars)
	put(&path, "object", u.Object, pathChars)
	put(&path, "id", string(u.ID), "") // every byte encoded, as RFC 7512 asks for binary IDs
	put(&path, "type", u.Type, pathChars)
	put(&query, "module-path", u.ModulePath, queryChars)
	put(&query, "module-name", u.ModuleName, queryChars)
	put(&query, "pin-source", u.PINSource, queryChars)
	s := "pkcs11:" + strings.Join(path, ";")
	if len(query) > 0 {
		s += "?" + strings.Join(query, "&")
	}
	return s
}

func escape(s, chars string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(chars, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func unescape(s, chars string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+3 > len(s) {
				return "", errors.New("% wants two hexadecimal digits")
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errors.New("% wants two hexadecimal digits")
			}
			b.WriteByte(byte(n))
			i += 2
		case strings.IndexByte(chars, s[i]) >= 0:
			b.WriteByte(s[i])
		default:
			return "", fmt.Errorf("the character %%%02X must be percent-encoded", s[i])
		}
	}
	return b.String(), nil
}
