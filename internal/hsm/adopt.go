package hsm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// Adopt examines a key of another program's making, has it do its work once,
// and tells it as a key of ours: of the role given, or of the first that it is
// fit for. The key is not touched. Whoever notes the result in the records
// behind Config.Record makes it usable.
func (t *Token) Adopt(ctx context.Context, label string, role Role) (Key, error) {
	return call(ctx, t, repeat, func() (Key, error) {
		h, class, err := t.only(label, pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY)
		if err != nil {
			return Key{}, err
		}
		a, err := t.readAs(class, h)
		if err != nil {
			return Key{}, fmt.Errorf("key %q: %w", label, err)
		}
		if role, err = adoptRole(a, role); err != nil {
			return Key{}, fmt.Errorf("key %q: %w", label, err)
		}
		d, err := t.tell(h, a)
		if err == nil {
			err = t.check(h, &d)
		}
		if err != nil {
			return Key{}, fmt.Errorf("key %q: %w", label, err)
		}
		noted := Noted{role, label, d.Check}
		t.noted = append(t.noted, noted)
		if err := t.wanted(Want{Role: role, Label: label}); err != nil {
			t.noted = slices.DeleteFunc(t.noted, func(n Noted) bool { return n == noted })
			return Key{}, err
		}
		d.Role = role
		return d.Key, nil
	})
}

// adoptRole is the role asked for, or the first that the key is fit for.
func adoptRole(a attributes, asked Role) (Role, error) {
	var why []string
	for _, role := range []Role{Master, KEK, Signer, SharedKey, SecureBoot, CA, Bundle, Manifest} {
		if asked != "" && role != asked {
			continue
		}
		bad := roles[role].judge(a)
		if len(bad) == 0 {
			return role, nil
		}
		if _, ok := roles[role].of(a); ok || asked != "" {
			why = append(why, fmt.Sprintf("as %s: %s", role, strings.Join(bad, "; ")))
		}
	}
	if len(why) == 0 {
		why = []string{"its type is " + typeName(a.number(pkcs11.CKA_CLASS), a.number(pkcs11.CKA_KEY_TYPE)) + ", which no role takes"}
	}
	return "", fmt.Errorf("%w: %s", ErrAttributes, strings.Join(why, "; "))
}
