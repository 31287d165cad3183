// A PKCS#11 module that hands every call on to a real one (REAL) and fails the
// ones that the file FAULTS names, line by line:
//
//	C_Sign 0xb3 2 0        the next 2 calls of C_Sign return CKR_SESSION_HANDLE_INVALID
//	C_Sign 0 1 500         the next call of C_Sign takes 500 ms longer
//	FLAGS 0x20000 -1 0     C_GetTokenInfo shows these flags too
//	ATTRIBUTE 0x162 -1 0   C_GetAttributeValue tells that this attribute is true
//	WITHOUT 0x163 -1 0     ... that it is false
//
// -1 is for ever. The calls made are listed in FAULTS.calls.
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

struct fault {
	char name[64];
	long code, count, ms;
};

// take finds the fault of that name (and code, where any is < 0) and counts it down.
static int take(const char *name, long any, struct fault *hit) {
	struct fault all[64];
	int n = 0, found = -1;
	FILE *f = fopen(FAULTS, "r");
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
		f = fopen(FAULTS, "w");
		for (int i = 0; i < n; i++)
			fprintf(f, "%s %ld %ld %ld\n", all[i].name, all[i].code, all[i].count, all[i].ms);
		fclose(f);
	}
	return 1;
}

static ul pass(int i, const char *name, ul a, ul b, ul c, ul d, ul e, ul f, ul g, ul h) {
	struct fault hit;
	FILE *log = fopen(FAULTS ".calls", "a");
	fprintf(log, "%s\n", name);
	fclose(log);
	if (take(name, -1, &hit)) {
		struct timespec wait = {hit.ms / 1000, hit.ms % 1000 * 1000000};
		nanosleep(&wait, NULL);
		if (hit.code != 0)
			return hit.code;
	}
	return real->fn[i](a, b, c, d, e, f, g, h);
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

// CK_TOKEN_INFO: label 32, maker 32, model 16, serial 16 bytes, then the flags.
static ul C_GetTokenInfo(ul slot, ul info, ul c, ul d, ul e, ul f, ul g, ul h) {
	struct fault hit;
	ul r = pass(6, "C_GetTokenInfo", slot, info, c, d, e, f, g, h);
	if (r == 0 && take("FLAGS", -1, &hit))
		*(ul *)(info + 96) |= hit.code;
	return r;
}

struct attribute {
	ul type;
	unsigned char *value;
	ul n;
};

static ul C_GetAttributeValue(ul s, ul o, ul list, ul n, ul e, ul f, ul g, ul h) {
	struct fault hit;
	ul r = pass(24, "C_GetAttributeValue", s, o, list, n, e, f, g, h);
	for (struct attribute *a = (struct attribute *)list; n > 0; a++, n--) {
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
		void *lib = dlopen(REAL, RTLD_NOW);
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
	}
	*out = &mine;
	return 0;
}
