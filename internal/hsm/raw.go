package hsm

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "cryptoki.h"

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

// Every function of Cryptoki takes at most eight words. Where it takes fewer,
// it does not look at the others: both calling conventions that Go knows on
// Unix, of amd64 and arm64, leave them to the caller to clean up.
static rv call(struct functions *f, int i, unsigned long *a) {
	if (f->call[i] == NULL)
		return 0x54; // CKR_FUNCTION_NOT_SUPPORTED
	rv result = f->call[i](a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
	clear_registers();
	return result;
}
*/
import "C"

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// functions calls a PKCS#11 module. Of the pkcs11 package only its names are
// used: it takes PINs as strings, copies results through memory that is freed
// without being overwritten, asks twice for every answer whose length is not
// known, and asks the module for a function list of its own; p11-kit takes
// that for another program that has not started it. Here a PIN goes in and a
// key comes out on the pages of a secret.Bytes and nowhere else.
type functions struct {
	list *C.struct_functions
	// since is when the call that is now in the module began, in nanoseconds;
	// 0: none is.
	since *atomic.Int64
	calls *atomic.Int64
}

// canLoad: this build can load modules; one without cgo (nocgo.go) says why not.
func canLoad() error { return nil }

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
	return functions{list, new(atomic.Int64), new(atomic.Int64)}, nil
}

// word is an argument of a call: a number, a handle or an address in memory
// that is not Go's.
type word = C.ulong

// call makes one call into the module.
func (f functions) call(i int, args ...word) error {
	var a [8]word
	copy(a[:], args)
	f.calls.Add(1)
	f.since.Store(time.Now().UnixNano())
	code := C.call(f.list, C.int(i), &a[0])
	f.since.Store(0)
	if code == 0 {
		return nil
	}
	return answerCode(code)
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
