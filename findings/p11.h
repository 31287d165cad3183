/* A few lines around PKCS#11 for the probes of this folder. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *p11;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

#define A(type, value) {type, &(value), sizeof(value)}
#define N(list) (sizeof(list) / sizeof(list[0]))
#define MUST(call) must(#call, call)

static const char *name(CK_RV rv) {
	static char other[32];
	switch (rv) {
	case CKR_OK: return "CKR_OK";
	case CKR_GENERAL_ERROR: return "CKR_GENERAL_ERROR";
	case CKR_ATTRIBUTE_READ_ONLY: return "CKR_ATTRIBUTE_READ_ONLY";
	case CKR_ATTRIBUTE_TYPE_INVALID: return "CKR_ATTRIBUTE_TYPE_INVALID";
	case CKR_FUNCTION_NOT_SUPPORTED: return "CKR_FUNCTION_NOT_SUPPORTED";
	case CKR_CRYPTOKI_NOT_INITIALIZED: return "CKR_CRYPTOKI_NOT_INITIALIZED";
	case CKR_BUFFER_TOO_SMALL: return "CKR_BUFFER_TOO_SMALL";
	case CKR_MECHANISM_INVALID: return "CKR_MECHANISM_INVALID";
	}
	snprintf(other, sizeof other, "0x%lx", rv);
	return other;
}

static void must(const char *call, CK_RV rv) {
	if (rv == CKR_OK) return;
	fprintf(stderr, "CHANGED: %s is %s\n", call, name(rv));
	exit(1);
}

static void load(const char *path) {
	void *so = dlopen(path, RTLD_NOW);
	if (!so) { fprintf(stderr, "CHANGED: %s\n", dlerror()); exit(1); }
	CK_RV (*list)(CK_FUNCTION_LIST **) = dlsym(so, "C_GetFunctionList");
	MUST(list(&p11));
}

/* login opens a session with the first token of that label. */
static CK_SESSION_HANDLE login(const char *label, const char *pin) {
	CK_SLOT_ID slots[16];
	unsigned long n = N(slots);
	CK_SESSION_HANDLE s;
	MUST(p11->C_GetSlotList(CK_TRUE, slots, &n));
	for (unsigned long i = 0; i < n; i++) {
		CK_TOKEN_INFO info;
		if (p11->C_GetTokenInfo(slots[i], &info) != CKR_OK || strncmp((char *)info.label, label, strlen(label))) continue;
		MUST(p11->C_OpenSession(slots[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s));
		if (pin) MUST(p11->C_Login(s, CKU_USER, (unsigned char *)pin, strlen(pin)));
		return s;
	}
	fprintf(stderr, "CHANGED: no token of the label %s\n", label);
	exit(1);
}

/* first opens a session in the first slot that has a token, without a PIN. */
static CK_SESSION_HANDLE first(void) {
	CK_SLOT_ID slots[16];
	unsigned long n = N(slots);
	CK_SESSION_HANDLE s;
	MUST(p11->C_GetSlotList(CK_TRUE, slots, &n));
	MUST(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s));
	return s;
}
