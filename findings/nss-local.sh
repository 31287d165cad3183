#!/bin/bash
# NSS softokn 3.87.1 (Debian 2:3.87.1-1+deb12u4): CKA_LOCAL, by which a token tells
# that a key was made inside it, is false for a key that C_GenerateKey has just
# made, while ALWAYS_SENSITIVE and NEVER_EXTRACTABLE of the same key are true.
# SoftHSM 2.6.1 tells all three.
#
# Seen:
#	NSS: LOCAL false, ALWAYS_SENSITIVE true, NEVER_EXTRACTABLE true
#	SoftHSM: LOCAL true, ALWAYS_SENSITIVE true, NEVER_EXTRACTABLE true
#
# Packages: libnss3, libnss3-tools, softhsm2, libsofthsm2, libp11-kit-dev (its header), all of Debian 12.
. "$(dirname "$0")/lib.sh"
debs libnss3=2:3.87.1-1+deb12u4 libnss3-tools=2:3.87.1-1+deb12u4 softhsm2=2.6.1-2.1 libsofthsm2=2.6.1-2.1 \
	libp11-kit-dev=0.24.1-2
nss
softhsm
probe <<'C'
#include "p11.h"

int main(int argc, char **argv) {
	CK_MECHANISM make = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
	unsigned long length = 32;
	CK_OBJECT_HANDLE key;
	CK_ATTRIBUTE want[] = {A(CKA_TOKEN, yes), A(CKA_SIGN, yes), A(CKA_SENSITIVE, yes), A(CKA_EXTRACTABLE, no), A(CKA_VALUE_LEN, length)};
	CK_BBOOL local, sensitive, never;
	CK_ATTRIBUTE ask[] = {A(CKA_LOCAL, local), A(CKA_ALWAYS_SENSITIVE, sensitive), A(CKA_NEVER_EXTRACTABLE, never)};
	CK_C_INITIALIZE_ARGS args = {.pReserved = argc > 2 ? argv[2] : NULL};

	load(argv[1]);
	MUST(p11->C_Initialize(argc > 2 ? &args : NULL));
	CK_SESSION_HANDLE s = argc > 2 ? login("NSS Certificate DB", NULL) : login("line", "12345678");
	MUST(p11->C_GenerateKey(s, &make, want, N(want), &key));
	MUST(p11->C_GetAttributeValue(s, key, ask, N(ask)));
	printf("LOCAL %s, ALWAYS_SENSITIVE %s, NEVER_EXTRACTABLE %s\n",
		local ? "true" : "false", sensitive ? "true" : "false", never ? "true" : "false");
	return 0;
}
C
text=$(
	echo "NSS: $("$tmp/probe" "$libdir/libsoftokn3.so" "$parameters")"
	echo "SoftHSM: $("$tmp/probe" "$root/usr/lib/softhsm/libsofthsm2.so")"
)
echo "$text"
seen "$text" "NSS: LOCAL false, ALWAYS_SENSITIVE true, NEVER_EXTRACTABLE true" \
	"SoftHSM: LOCAL true, ALWAYS_SENSITIVE true, NEVER_EXTRACTABLE true"
stands
