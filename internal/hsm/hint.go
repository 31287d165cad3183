package hsm

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/pkcs11"
)

// A need is what a module needs of the computer: a daemon that runs, a group
// that its users are in. Modules answer with a code that does not say so.
type need struct {
	module string // begins so
	group  string
	daemon string
}

var needs = []need{
	{"libopencryptoki", "pkcs11", "opencryptoki's daemon pkcsslotd runs (systemctl status pkcsslotd)"},
	{"PKCS11_API", "pkcs11", "opencryptoki's daemon pkcsslotd runs (systemctl status pkcsslotd)"},
	{"libtpm2_pkcs11", "tss", "the TPM's resource manager runs (systemctl status tpm2-abrmd) or /dev/tpmrm0 is there, and TPM2_PKCS11_STORE names the store"},
	{"libsofthsm2", "softhsm", "SOFTHSM2_CONF, or /etc/softhsm/softhsm2.conf, names a folder that this user may write"},
	{"p11-kit-client", "", "\"p11-kit server\" runs and P11_KIT_SERVER_ADDRESS names its socket"},
}

// tpmLocked is what a PIN that is locked means there: more, and for a while.
const tpmLocked = "a TPM that was given wrong PINs too often locks all that has one, and opens again by itself " +
	"(TPM2_PT_LOCKOUT_INTERVAL of tpm2_getcap properties-variable: so many seconds for a try); its owner opens it at once: tpm2_dictionarylockout --clear-lockout"

// locked adds to a login that found the PIN locked how it is opened again.
func (m *module) locked(err error) error {
	switch {
	case !isCode(err, pkcs11.CKR_PIN_LOCKED):
		return err
	case strings.HasPrefix(filepath.Base(m.path), "libtpm2_pkcs11"):
		return fmt.Errorf("%w; %s", err, tpmLocked)
	}
	return fmt.Errorf("%w; the security officer sets a new one with the token's own tool", err)
}

// hint adds to a module's error what that module needs, as far as it lacks it.
func (m *module) hint(err error) error {
	if err == nil {
		return nil
	}
	name := filepath.Base(m.path)
	for _, n := range needs {
		if !strings.HasPrefix(name, n.module) {
			continue
		}
		if n.group != "" && os.Geteuid() != 0 && !inGroup(n.group) {
			return fmt.Errorf("%w; this user is not in the group %s (sudo adduser USER %s, then log in again)", err, n.group, n.group)
		}
		return fmt.Errorf("%w; see that %s", err, n.daemon)
	}
	return err
}

// choose is choose with a hint where the module shows no token at all: one that
// does not reach its daemon, or may not, says no more.
func (m *module) choose(all []Info, u URI) (Info, error) {
	i, err := choose(all, u)
	if err != nil && !slices.ContainsFunc(all, func(i Info) bool { return i.has(pkcs11.CKF_TOKEN_INITIALIZED) }) {
		err = m.hint(err)
	}
	return i, err
}

// inGroup reports whether the process has that group, also where there is none
// of the name.
func inGroup(name string) bool {
	g, err := user.LookupGroup(name)
	if err != nil {
		return true
	}
	id, _ := strconv.Atoi(g.Gid)
	have, err := os.Getgroups()
	return err != nil || os.Getegid() == id || slices.Contains(have, id)
}
