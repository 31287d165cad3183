#!/bin/bash
# SoftHSM 2.6.1 (Debian 2.6.1-2.1): an elliptic-curve key pair that is made with
# CKA_SIGN alone in its private template may, by its own word, do more: the
# private key also says true to DECRYPT, SIGN_RECOVER and UNWRAP, none of which
# the template names. What a key must not do has to be said, use by use.
#
# Seen:
#	SIGN true
#	DECRYPT true
#	SIGN_RECOVER true
#	UNWRAP true
#	DERIVE false
#
# Packages: softhsm2, libsofthsm2, libp11-kit-dev (its header), all of Debian 12.
. "$(dirname "$0")/lib.sh"
debs softhsm2=2.6.1-2.1 libsofthsm2=2.6.1-2.1 libp11-kit-dev=0.24.1-2
softhsm
probe <<'C'
#include "p11.h"

int main(int argc, char **argv) {
	CK_MECHANISM pair = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
	unsigned char p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
	CK_ATTRIBUTE pub[] = {{CKA_EC_PARAMS, p256, sizeof p256}};
	CK_ATTRIBUTE prv[] = {A(CKA_SIGN, yes)};
	CK_OBJECT_HANDLE a, b;
	struct { const char *name; unsigned long type; } uses[] = {
		{"SIGN", CKA_SIGN}, {"DECRYPT", CKA_DECRYPT}, {"SIGN_RECOVER", CKA_SIGN_RECOVER},
		{"UNWRAP", CKA_UNWRAP}, {"DERIVE", CKA_DERIVE}};

	load(argv[1]);
	MUST(p11->C_Initialize(NULL));
	CK_SESSION_HANDLE s = login("line", "12345678");
	MUST(p11->C_GenerateKeyPair(s, &pair, pub, N(pub), prv, N(prv), &a, &b));
	for (unsigned i = 0; i < N(uses); i++) {
		CK_BBOOL value;
		CK_ATTRIBUTE ask = {uses[i].type, &value, sizeof value};
		MUST(p11->C_GetAttributeValue(s, b, &ask, 1));
		printf("%s %s\n", uses[i].name, value ? "true" : "false");
	}
	return 0;
}
C
text=$("$tmp/probe" "$root/usr/lib/softhsm/libsofthsm2.so")
echo "$text"
seen "$text" "SIGN true" "DECRYPT true" "SIGN_RECOVER true" "UNWRAP true" "DERIVE false"
stands
