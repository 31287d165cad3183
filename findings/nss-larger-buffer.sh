#!/bin/bash
# NSS softokn 3.87.1 (Debian 2:3.87.1-1+deb12u4): a number attribute of a key in
# the database is told only into a buffer of exactly 8 bytes, sizeof(CK_ULONG). A
# larger one is "too small". The same attribute of a session key is told into
# any buffer that is large enough.
#
# Seen:
#	session key, CKA_CLASS into 8 bytes: CKR_OK
#	session key, CKA_CLASS into 64 bytes: CKR_OK
#	token key, CKA_CLASS into 8 bytes: CKR_OK
#	token key, CKA_CLASS into 64 bytes: CKR_BUFFER_TOO_SMALL
# and the same for CKA_KEY_TYPE and CKA_VALUE_LEN.
#
# Packages: libnss3, libnss3-tools, libp11-kit-dev (its header), all of Debian 12.
. "$(dirname "$0")/lib.sh"
debs libnss3=2:3.87.1-1+deb12u4 libnss3-tools=2:3.87.1-1+deb12u4 libp11-kit-dev=0.24.1-2
nss
probe <<'C'
#include "p11.h"

static void tell(CK_SESSION_HANDLE s, CK_BBOOL token) {
	CK_MECHANISM make = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
	unsigned long length = 32;
	CK_OBJECT_HANDLE key;
	CK_ATTRIBUTE want[] = {A(CKA_TOKEN, token), A(CKA_SIGN, yes), A(CKA_VALUE_LEN, length)};
	struct { const char *name; unsigned long type; } numbers[] = {
		{"CKA_CLASS", CKA_CLASS}, {"CKA_KEY_TYPE", CKA_KEY_TYPE}, {"CKA_VALUE_LEN", CKA_VALUE_LEN}};
	unsigned char value[64];

	MUST(p11->C_GenerateKey(s, &make, want, N(want), &key));
	for (unsigned i = 0; i < N(numbers); i++)
		for (unsigned long size = 8; size <= sizeof value; size += 56) {
			CK_ATTRIBUTE ask = {numbers[i].type, value, size};
			CK_RV rv = p11->C_GetAttributeValue(s, key, &ask, 1);
			printf("%s key, %s into %lu bytes: %s\n", token ? "token" : "session", numbers[i].name, size, name(rv));
		}
}

int main(int argc, char **argv) {
	CK_C_INITIALIZE_ARGS args = {.pReserved = argv[2]};

	load(argv[1]);
	MUST(p11->C_Initialize(&args));
	CK_SESSION_HANDLE s = login("NSS Certificate DB", NULL);
	tell(s, CK_FALSE);
	tell(s, CK_TRUE);
	return 0;
}
C
text=$("$tmp/probe" "$libdir/libsoftokn3.so" "$parameters")
echo "$text"
for number in CKA_CLASS CKA_KEY_TYPE CKA_VALUE_LEN; do
	seen "$text" "session key, $number into 8 bytes: CKR_OK" "session key, $number into 64 bytes: CKR_OK" \
		"token key, $number into 8 bytes: CKR_OK" "token key, $number into 64 bytes: CKR_BUFFER_TOO_SMALL"
done
stands
