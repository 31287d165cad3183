package hsm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"station/internal/secret"
)

// softHSMConf is the environment variable that SoftHSM reads, when its module
// is started, for the path of its configuration.
const softHSMConf = "SOFTHSM2_CONF"

// Throwaway makes a SoftHSM token with random PINs in dir, for a rehearsal, a
// demo or a test. The token is ThrowawayLabel; its PIN is in a file in dir
// that the Config points to. cleanup removes all of it and restores the
// environment. SoftHSM has one configuration per process, so no token of the
// module may be open meanwhile that lives elsewhere. Errors: ErrNoModule if
// SoftHSM is not installed.
func Throwaway(dir string) (cfg Config, cleanup func() error, err error) {
	if err := canLoad(); err != nil {
		return Config{}, nil, edge(err)
	}
	module, err := findModule("softhsm2", moduleDirs)
	if err != nil {
		return Config{}, nil, edge(fmt.Errorf("%w: SoftHSM is not installed; on Debian: apt install softhsm2", ErrNoModule))
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Config{}, nil, edge(err)
	}
	store, conf, pinFile := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	old, had := os.LookupEnv(softHSMConf)
	cleanup = func() error {
		restore := os.Unsetenv(softHSMConf)
		if had {
			restore = os.Setenv(softHSMConf, old)
		}
		return errors.Join(restore, os.RemoveAll(store), os.Remove(conf), os.Remove(pinFile))
	}
	if err := idle(module); err != nil {
		return Config{}, nil, edge(err)
	}
	defer func() {
		if err != nil {
			_ = cleanup()
			cfg, cleanup = Config{}, nil
		}
	}()
	if err = os.MkdirAll(store, 0o700); err != nil {
		return cfg, cleanup, edge(err)
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", store)
	if err = os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return cfg, cleanup, edge(err)
	}
	if err = os.Setenv(softHSMConf, conf); err != nil {
		return cfg, cleanup, edge(err)
	}
	cfg.URI = URI{Token: ThrowawayLabel, ModulePath: module, PINSource: "file:" + pinFile}
	return cfg, cleanup, initThrowaway(module, pinFile)
}

// initThrowaway gives the token PINs that nobody has seen.
func initThrowaway(module, pinFile string) error {
	so, err := randomPIN()
	if err != nil {
		return edge(err)
	}
	defer so.Destroy()
	user, err := randomPIN()
	if err != nil {
		return edge(err)
	}
	defer user.Destroy()
	if err := os.WriteFile(pinFile, user.Reveal(), 0o600); err != nil {
		return edge(err)
	}
	_, err = InitToken(module, ThrowawayLabel, so, user)
	return err
}

// randomPIN is 20 decimal digits.
func randomPIN() (*secret.Bytes, error) {
	pin, err := secret.Make(20)
	if err != nil {
		return nil, err
	}
	b := pin.Reveal()
	for i := 0; i < len(b); {
		if _, err := rand.Read(b[i : i+1]); err != nil {
			pin.Destroy()
			return nil, err
		}
		if b[i] < 250 { // else some digits would be likelier
			b[i] = '0' + b[i]%10
			i++
		}
	}
	return pin, nil
}

// idle refuses to change SoftHSM's configuration under open tokens.
func idle(path string) error {
	m, err := load(path)
	if err != nil {
		return err
	}
	m.turn <- struct{}{}
	defer m.leave()
	if m.refs > 0 {
		return errors.New("a token of this module is open in this process; close it first")
	}
	return nil
}
