// A PKCS#11 module that hands every call on to a real one and fails the ones that
// a file names, line by line. Beside the module FILE stand the real one, FILE.real,
// and FILE.faults:
//
//	C_Sign 0xb3 2 0        the next 2 calls of C_Sign return CKR_SESSION_HANDLE_INVALID
//	C_Sign 0 1 500         the next call of C_Sign takes 500 ms longer
//	C_Sign 0 1 -1          the next call of C_Sign waits until the file names no such fault, a minute at most
//	FLAGS 0x20000 -1 0     C_GetTokenInfo shows these flags too
//	ATTRIBUTE 0x162 -1 0   C_GetAttributeValue tells that this attribute is true
//	WITHOUT 0x163 -1 0     ... that it is false
//	SERIAL 123 -1 0        C_GetTokenInfo shows this serial number
//	REFUSE 0x10a -1 18     a template that has this attribute gets that code
//	UNWRAP 0x162 -1 16     ... if it is one of C_UnwrapKey
//	HMAC 0 -1 0            generic secrets are HMAC-SHA-256 keys, as this token shows them
//	NEED 0x161 -1 208      one of C_UnwrapKey that lacks it gets that code
//	LENGTH 32 -1 18        C_GenerateKey that has CKA_VALUE_LEN gets that code; without, it is 32
//	MAKES 0xde436997 -1 112 C_GenerateKey by another mechanism gets that code; this one is the generic one
//	KIND 0x10 -1 19        one for a key of this CKA_KEY_TYPE gets that code
//	ALL 0x5 -1 0           every call returns this code
//	SAYS 0 -1 0            every call is told on standard error
//
// Two threads inside at once are noted as a call of TWO, a template of an object
// that stays in the token as one of FOR_GOOD.
//
// -1 is for ever. The calls made are listed in FILE.calls.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef unsigned long ul;
typedef ul (*call)(ul, ul, ul, ul, ul, ul, ul, ul);
struct list {
	unsigned char version[2];
	call fn[68];
};
static struct list *real, mine;

// beside is the name of a file beside this module.
static const char *beside(const char *suffix) {
	static _Thread_local char path[4096];
	Dl_info self;
	dladdr((void *)beside, &self);
	snprintf(path, sizeof path, "%s%s", self.dli_fname, suffix);
	return path;
}

struct fault {
	char name[64];
	long code, count, ms;
};

// take finds the fault of that name (and code, where any is < 0) and counts it down.
static int take(const char *name, long any, struct fault *hit) {
	struct fault all[64];
	int n = 0, found = -1;
	FILE *f = fopen(beside(".faults"), "r");
	if (f == NULL)
		return 0;
	while (n < 64 && fscanf(f, "%63s %li %li %li", all[n].name, &all[n].code, &all[n].count, &all[n].ms) == 4) {
		if (found < 0 && all[n].count != 0 && strcmp(all[n].name, name) == 0 && (any < 0 || all[n].code == any))
			found = n;
		n++;
	}
	fclose(f);
	if (found < 0)
		return 0;
	*hit = all[found];
	if (all[found].count > 0) {
		all[found].count--;
		f = fopen(beside(".faults"), "w");
		for (int i = 0; i < n; i++)
			fprintf(f, "%s %ld %ld %ld\n", all[i].name, all[i].code, all[i].count, all[i].ms);
		fclose(f);
	}
	return 1;
}

// held waits until the file does not name the fault any more, but not for ever.
static void held(const struct fault *hit) {
	struct timespec moment = {0, 1000000};
	for (int named = 1, n = 0; named && n < 60000; n++) {
		struct fault one;
		FILE *f = fopen(beside(".faults"), "r");
		named = 0;
		while (f != NULL && fscanf(f, "%63s %li %li %li", one.name, &one.code, &one.count, &one.ms) == 4)
			named |= one.ms < 0 && strcmp(one.name, hit->name) == 0;
		if (f != NULL)
			fclose(f);
		nanosleep(&moment, NULL);
	}
}

struct attribute {
	ul type;
	unsigned char *value;
	ul n;
};

// note adds a line to the list of calls.
static void note(const char *what) {
	FILE *log = fopen(beside(".calls"), "a");
	fprintf(log, "%s\n", what);
	fclose(log);
}

// judge looks for the faults of a template.
static ul judge(ul list, ul n, int unwraps) {
	struct fault hit;
	struct attribute *t = (struct attribute *)list;
	int length = 0;
	for (ul i = 0; i < n; i++) {
		length |= t[i].type == 0x161;
		if (t[i].type == 0x1 && *t[i].value)
			note("FOR_GOOD");
		if (take("REFUSE", t[i].type, &hit))
			return hit.ms;
		if (unwraps && take("UNWRAP", t[i].type, &hit))
			return hit.ms;
		if (t[i].type == 0x100 && take("KIND", *(ul *)t[i].value, &hit))
			return hit.ms;
		if (t[i].type == 0x100 && *(ul *)t[i].value == 0x2b && take("HMAC", -1, &hit))
			*(ul *)t[i].value = 0x10;
	}
	if (unwraps && !length && take("NEED", 0x161, &hit))
		return hit.ms;
	return 0;
}

static ul act(int i, const char *name, ul a, ul b, ul c, ul d, ul e, ul f, ul g, ul h) {
	struct fault hit;
	ul r = 0;
	if (take("SAYS", -1, &hit))
		fprintf(stderr, "module: %s\n", name);
	if (take(name, -1, &hit) || take("ALL", -1, &hit)) {
		struct timespec wait = {hit.ms / 1000, hit.ms % 1000 * 1000000};
		if (hit.ms < 0)
			held(&hit);
		else
			nanosleep(&wait, NULL);
		if (hit.code != 0)
			return hit.code;
	}
	switch (i) {
	case 20: r = judge(b, c, 0); break;
	case 58: {
		struct attribute with[64];
		ul length;
		ul *how = (ul *)b;
		if (take("MAKES", -1, &hit)) {
			if (*how != (ul)hit.code)
				return hit.ms;
			*how = 0x350;
		}
		if ((r = judge(c, d, 0)) != 0 || !take("LENGTH", -1, &hit) || d >= 64)
			break;
		memcpy(with, (void *)c, d * sizeof *with);
		for (ul k = 0; k < d; k++)
			if (with[k].type == 0x161)
				return hit.ms;
		length = hit.code;
		with[d] = (struct attribute){0x161, (unsigned char *)&length, sizeof length};
		return real->fn[i](a, b, (ul)with, d + 1, e, f, g, h);
	}
	case 59: r = judge(c, d, 0); if (r == 0) r = judge(e, f, 0); break;
	case 61:
		if ((r = judge(f, g, 1)) != 0 || !take("NEED", 0x161, &hit))
			break;
		// The real token would refuse what this one wants to hear.
		struct attribute *t = (struct attribute *)f;
		for (ul k = 0; k < g; k++)
			if (t[k].type == 0x161)
				t[k] = t[--g];
		break;
	}
	return r != 0 ? r : real->fn[i](a, b, c, d, e, f, g, h);
}

static int inside;

static ul pass(int i, const char *name, ul a, ul b, ul c, ul d, ul e, ul f, ul g, ul h) {
	note(name);
	if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 1)
		note("TWO");
	ul r = act(i, name, a, b, c, d, e, f, g, h);
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	return r;
}

// Every function of Cryptoki takes at most eight words.
#define PASS(i, name) \
	static ul name(ul a, ul b, ul c, ul d, ul e, ul f, ul g, ul h) { return pass(i, #name, a, b, c, d, e, f, g, h); }
PASS(0, C_Initialize)
PASS(1, C_Finalize)
PASS(4, C_GetSlotList)
PASS(7, C_GetMechanismList)
PASS(12, C_OpenSession)
PASS(15, C_GetSessionInfo)
PASS(18, C_Login)
PASS(20, C_CreateObject)
PASS(22, C_DestroyObject)
PASS(26, C_FindObjectsInit)
PASS(27, C_FindObjects)
PASS(42, C_SignInit)
PASS(43, C_Sign)
PASS(58, C_GenerateKey)
PASS(59, C_GenerateKeyPair)
PASS(60, C_WrapKey)
PASS(61, C_UnwrapKey)
PASS(2, C_GetInfo)
PASS(5, C_GetSlotInfo)
PASS(13, C_CloseSession)
PASS(25, C_SetAttributeValue)
PASS(28, C_FindObjectsFinal)
PASS(64, C_GenerateRandom)

// CK_TOKEN_INFO: label 32, maker 32, model 16, serial 16 bytes, then the flags.
static ul C_GetTokenInfo(ul slot, ul info, ul c, ul d, ul e, ul f, ul g, ul h) {
	struct fault hit;
	ul r = pass(6, "C_GetTokenInfo", slot, info, c, d, e, f, g, h);
	if (r == 0 && take("FLAGS", -1, &hit))
		*(ul *)(info + 96) |= hit.code;
	if (r == 0 && take("SERIAL", -1, &hit)) {
		char text[32];
		snprintf(text, sizeof text, "%-16ld", hit.code);
		memcpy((char *)info + 80, text, 16);
	}
	return r;
}

static ul C_GetAttributeValue(ul s, ul o, ul list, ul n, ul e, ul f, ul g, ul h) {
	struct fault hit;
	ul r = pass(24, "C_GetAttributeValue", s, o, list, n, e, f, g, h);
	for (struct attribute *a = (struct attribute *)list; n > 0; a++, n--) {
		if (a->type == 0x100 && a->n == sizeof(ul) && *(ul *)a->value == 0x10 && take("HMAC", -1, &hit))
			*(ul *)a->value = 0x2b;
		if (a->value == NULL || a->n != 1) // no flag, or none that this object has
			continue;
		if (take("ATTRIBUTE", a->type, &hit))
			*a->value = 1;
		if (take("WITHOUT", a->type, &hit))
			*a->value = 0;
	}
	return r;
}

ul C_GetFunctionList(struct list **out) {
	if (real == NULL) {
		void *lib = dlopen(beside(".real"), RTLD_NOW);
		ul (*get)(struct list **) = lib == NULL ? NULL : (ul (*)(struct list **))dlsym(lib, "C_GetFunctionList");
		if (get == NULL || get(&real) != 0)
			return 5;
		mine = *real;
#define SET(i, name) mine.fn[i] = name;
		SET(0, C_Initialize) SET(1, C_Finalize) SET(4, C_GetSlotList) SET(6, C_GetTokenInfo)
		SET(7, C_GetMechanismList) SET(12, C_OpenSession) SET(15, C_GetSessionInfo) SET(18, C_Login)
		SET(20, C_CreateObject) SET(22, C_DestroyObject) SET(24, C_GetAttributeValue)
		SET(26, C_FindObjectsInit) SET(27, C_FindObjects) SET(42, C_SignInit) SET(43, C_Sign)
		SET(58, C_GenerateKey) SET(59, C_GenerateKeyPair) SET(60, C_WrapKey) SET(61, C_UnwrapKey)
		SET(2, C_GetInfo) SET(5, C_GetSlotInfo) SET(13, C_CloseSession) SET(25, C_SetAttributeValue) SET(28, C_FindObjectsFinal) SET(64, C_GenerateRandom)
	}
	*out = &mine;
	return 0;
}
