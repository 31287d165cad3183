package hsm

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// The head of CK_FUNCTION_LIST (PKCS#11 v2.40, pkcs11t.h): a version, then the
// functions in the order of pkcs11f.h. Only the named ones are called here.
typedef unsigned long rv;
struct functions {
	unsigned char version[2];
	void *from_initialize[9];
	rv (*init_token)(unsigned long slot, unsigned char *pin, unsigned long n, unsigned char *label);
	rv (*init_pin)(unsigned long session, unsigned char *pin, unsigned long n);
	void *from_set_pin[7];
	rv (*login)(unsigned long session, unsigned long user, unsigned char *pin, unsigned long n);
	void *from_logout[24];
	rv (*sign)(unsigned long session, unsigned char *data, unsigned long n, unsigned char *out, unsigned long *outlen);
};

static struct functions *load(const char *path, char **why) {
	struct functions *list = NULL;
	void *lib = dlopen(path, RTLD_LAZY);
	if (lib == NULL) {
		*why = strdup(dlerror());
		return NULL;
	}
	rv (*get)(struct functions **) = (rv (*)(struct functions **))dlsym(lib, "C_GetFunctionList");
	if (get == NULL || get(&list) != 0 || list == NULL) {
		*why = strdup("it is a library, but no PKCS#11 module");
		return NULL;
	}
	return list;
}

// The C library moves bytes through vector registers (zmm16 and up on newer
// machines) which Go never touches. Moving zeros of every size goes through
// the same ones.
static void clear_registers(void) {
	static const unsigned char from[512];
	unsigned char to[512];
	void *(*volatile move)(void *, const void *, size_t) = memmove;
	for (size_t n = 16; n <= sizeof from; n *= 2)
		move(to, from, n);
}

static rv cleared(rv result) {
	clear_registers();
	return result;
}

static rv init_token(struct functions *f, unsigned long slot, void *pin, unsigned long n, void *label) {
	return cleared(f->init_token(slot, pin, n, label));
}
static rv init_pin(struct functions *f, unsigned long session, void *pin, unsigned long n) {
	return cleared(f->init_pin(session, pin, n));
}
static rv login(struct functions *f, unsigned long session, unsigned long user, void *pin, unsigned long n) {
	return cleared(f->login(session, user, pin, n));
}
static rv sign(struct functions *f, unsigned long session, void *data, unsigned long n, void *out, unsigned long *outlen) {
	return cleared(f->sign(session, data, n, out, outlen));
}
*/
import "C"

import (
	"errors"
	"runtime"
	"unsafe"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// functions calls the module directly where a PIN goes in or a key comes out.
// The pkcs11 package takes PINs as strings and copies results through memory
// that is freed without being overwritten; here the module reads and writes
// the pages of a secret.Bytes and nothing else.
type functions struct{ list *C.struct_functions }

// loadFunctions loads the module. It stays loaded: unloading crashes in the
// exit handlers of modules that bring a cryptographic library of their own.
func loadFunctions(path string) (functions, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var why *C.char
	list := C.load(name, &why)
	if list == nil {
		defer C.free(unsafe.Pointer(why))
		return functions{}, errors.New(C.GoString(why))
	}
	return functions{list}, nil
}

func (f functions) initToken(slot uint, pin *secret.Bytes, label string) error {
	padded := C.CBytes([]byte(pad(label, 32)))
	defer C.free(padded)
	p, n := pointer(pin.Reveal())
	return rv(C.init_token(f.list, C.ulong(slot), p, n, padded))
}

func (f functions) initPIN(s pkcs11.SessionHandle, pin *secret.Bytes) error {
	p, n := pointer(pin.Reveal())
	return rv(C.init_pin(f.list, C.ulong(s), p, n))
}

// login with an empty PIN leaves the question to the token's own key pad.
func (f functions) login(s pkcs11.SessionHandle, user uint, pin *secret.Bytes) error {
	p, n := pointer(pin.Reveal())
	return rv(C.login(f.list, C.ulong(s), C.ulong(user), p, n))
}

// sign fills out with the result of an operation begun by C_SignInit and
// returns its length.
func (f functions) sign(s pkcs11.SessionHandle, data []byte, out *secret.Bytes) (int, error) {
	in, n := pointer(data)
	to, room := pointer(out.Reveal())
	err := rv(C.sign(f.list, C.ulong(s), in, n, to, &room))
	return int(room), err
}

// scrubbed runs fn, which handles keys or a PIN, on one thread and leaves the
// thread without them.
func scrubbed(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer clearRegisters()
	return fn()
}

// clearRegisters overwrites the vector registers of the thread. Copying leaves
// the last key in them, and the kernel saves them onto a signal stack when Go
// preempts what runs on the thread; there the key would stay.
func clearRegisters() {
	var from, to [256]byte
	move(to[:], from[:]) // Go's own moves: X0 to X15 on amd64
	C.clear_registers()
}

//go:noinline
func move(to, from []byte) { copy(to, from) }

func pointer(b []byte) (unsafe.Pointer, C.ulong) {
	return unsafe.Pointer(unsafe.SliceData(b)), C.ulong(len(b))
}

func rv(code C.rv) error {
	if code == 0 {
		return nil
	}
	return pkcs11.Error(code)
}
