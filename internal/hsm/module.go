package hsm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"station/internal/keyfile"
)

// A module is one PKCS#11 library in this process. Cryptoki knows one
// C_Initialize per process, so all tokens of a library share it.
type module struct {
	path string
	fn   functions
	// turn is held during every call into the library and guards what is below.
	turn    chan struct{}
	refs    int
	ready   bool // between C_Initialize and C_Finalize
	life    int  // counts initialisations: handles of an earlier life are dead
	refused refusals
}

var loaded = struct {
	sync.Mutex
	modules map[string]*module
}{modules: map[string]*module{}}

// open loads the module that the URI names.
func open(u URI) (*module, error) {
	path, err := modulePath(u)
	if err != nil {
		return nil, err
	}
	return load(path)
}

// hold starts the module if nobody uses it yet. The turn is held.
func (m *module) hold() error {
	if err := m.initialize(); err != nil {
		return err
	}
	m.refs++
	return nil
}

// load gives the one module of that path.
func load(path string) (*module, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoModule, err)
	}
	loaded.Lock()
	defer loaded.Unlock()
	if m := loaded.modules[path]; m != nil {
		return m, nil
	}
	fn, err := loadFunctions(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoModule, path, err)
	}
	m := &module{path: path, fn: fn, turn: make(chan struct{}, 1), refused: newRefusals()}
	loaded.modules[path] = m
	return m, nil
}

// pollEvery is how often a call that waits looks how long the one in the module has
// been there.
const pollEvery = 50 * time.Millisecond

// silent is the error of a module that has been in one call for too long.
func (m *module) silent(limit time.Duration) error {
	since := m.fn.since.Load()
	if since == 0 || time.Since(time.Unix(0, since)) < limit {
		return nil
	}
	return fmt.Errorf("%w: it does not answer: a call has been in its module for more than %s", ErrUnavailable, limit)
}

// enter waits for the module to be free, but not for one that does not answer.
func (m *module) enter(ctx context.Context, limit time.Duration) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case m.turn <- struct{}{}:
			return nil
		default:
		}
		select {
		case m.turn <- struct{}{}:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: its module is busy: %w", ErrUnavailable, context.Cause(ctx))
		case <-tick.C:
			if err := m.silent(limit); err != nil {
				return err
			}
		}
	}
}

// alone runs fn with the module to itself. It returns early if ctx ends, or if
// one call into the module takes longer than the limit; fn then keeps the
// turn until it is done, so that there are never two in the module, and what
// it still gives goes to late.
func alone[T any](ctx context.Context, m *module, limit time.Duration, late func(T), fn func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := context.Cause(ctx); err != nil {
		return none, err
	}
	if err := m.enter(ctx, limit); err != nil {
		return none, err
	}
	taken := make(chan result)
	gone := make(chan struct{})
	go func() {
		var r result
		r.err = scrubbed(func() (err error) { r.value, err = fn(); return err })
		select {
		case taken <- r:
		case <-gone:
			if r.err == nil && late != nil {
				late(r.value)
			}
		}
		m.leave()
	}()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case r := <-taken:
			return r.value, r.err
		case <-ctx.Done():
			close(gone)
			return none, context.Cause(ctx)
		case <-tick.C:
			if err := m.silent(limit); err != nil {
				close(gone)
				return none, err
			}
		}
	}
}

func (m *module) leave() { <-m.turn }

func (m *module) initialize() error {
	if m.ready {
		return nil
	}
	err := m.fn.Initialize()
	if err != nil && !isCode(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return m.hint(failure("start module", err))
	}
	m.ready = true
	m.life++
	return nil
}

func (m *module) finalize() error {
	if !m.ready {
		return nil
	}
	m.ready = false
	return failure("stop module", m.fn.Finalize())
}

// restart makes the library pollEvery again for its tokens. SoftHSM reads them
// only in C_Initialize and keeps the objects of one that vanished invalid for
// ever, also after it is back.
func (m *module) restart() error {
	return errors.Join(m.finalize(), m.initialize())
}

// release finalises the module when nobody uses it any more. The turn is held.
func (m *module) release() error {
	if m.refs--; m.refs > 0 {
		return nil
	}
	return m.finalize()
}

// moduleDirs are where distributions keep PKCS#11 modules.
var moduleDirs = []string{
	"/usr/lib/softhsm", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm",
	"/usr/lib/pkcs11", "/usr/lib64/pkcs11", "/usr/local/lib/pkcs11", "/usr/lib64/softhsm",
	"/usr/lib/x86_64-linux-gnu/pkcs11", "/usr/lib/aarch64-linux-gnu/pkcs11",
	"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib",
}

// modulePath finds the library of the URI: module-path as it is, module-name
// in the usual directories.
func modulePath(u URI) (string, error) {
	if err := canLoad(); err != nil {
		return "", err
	}
	switch {
	case u.ModulePath != "":
		if info, err := os.Stat(u.ModulePath); err == nil && info.IsDir() && u.ModuleName != "" {
			return findModule(u.ModuleName, []string{u.ModulePath})
		}
		// A pipe would hold up the loader of libraries for ever. A name without a
		// folder is for it to find.
		if err := keyfile.Fits(u.ModulePath, keyfile.Module); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %w", ErrNoModule, err)
		}
		return u.ModulePath, nil
	case u.ModuleName != "":
		return findModule(u.ModuleName, moduleDirs)
	}
	return "", fmt.Errorf("%w: the URI names none; add ?module-path=/path/to/module.so", ErrNoModule)
}

func findModule(name string, dirs []string) (string, error) {
	if filepath.Base(name) != name {
		return "", fmt.Errorf("%w: module-name is a name without folders; use module-path", ErrNoModule)
	}
	for _, dir := range dirs {
		for _, file := range []string{"lib" + name + ".so", name + ".so", "lib" + name + ".dylib", name + ".dylib"} {
			path := filepath.Join(dir, file)
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%w: %q is in none of the usual folders; use module-path", ErrNoModule, name)
}

// slots lists the slots that hold a token, with what each token says.
func (m *module) slots() ([]Info, error) {
	ids, err := m.fn.GetSlotList()
	if err != nil {
		return nil, m.hint(failure("list slots", err))
	}
	var all []Info
	for _, id := range ids {
		ti, err := m.tokenIn(id)
		if err != nil {
			continue // a slot whose token is just going away
		}
		all = append(all, ti)
	}
	slices.SortStableFunc(all, func(a, b Info) int {
		return int(b.Flags&pkcs11.CKF_TOKEN_INITIALIZED) - int(a.Flags&pkcs11.CKF_TOKEN_INITIALIZED)
	})
	return all, nil
}

// tokenIn is the token in a slot, with what its slot says of it.
func (m *module) tokenIn(slot uint) (Info, error) {
	info, err := m.fn.GetTokenInfo(slot)
	if err != nil {
		return info, err
	}
	description, flags, _ := m.fn.GetSlotInfo(slot)
	info.SlotDescription, info.Nature = description, natureOf(info.Model, flags)
	return info, nil
}
