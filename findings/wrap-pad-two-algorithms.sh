#!/bin/bash
# CKM_AES_KEY_WRAP_PAD is one number (0x210A) for two algorithms that do not
# open each other's blobs. SoftHSM 2.6.1 (Debian 2.6.1-2.1) computes RFC 5649, as
# OpenSSL's id-aes256-wrap-pad does. NSS softokn 3.87.1 (2:3.87.1-1+deb12u4) fills
# the key up by PKCS#7 and computes RFC 3394 (OpenSSL's id-aes256-wrap) over that.
# The same 16-byte key under the same wrapping key gives 24 bytes from the one
# and 32 from the other.
#
# Seen:
#	SoftHSM: 24 bytes, as id-aes256-wrap-pad
#	NSS: 32 bytes, as id-aes256-wrap over the key and 8 bytes of PKCS#7 padding
#
# Packages: softhsm2, libsofthsm2, libnss3, libp11-kit-dev (its header), openssl, libssl3, all of Debian 12.
. "$(dirname "$0")/lib.sh"
debs softhsm2=2.6.1-2.1 libsofthsm2=2.6.1-2.1 libnss3=2:3.87.1-1+deb12u4 libp11-kit-dev=0.24.1-2 \
	openssl=3.0.22-1~deb12u2 libssl3=3.0.22-1~deb12u2
softhsm
probe <<'C'
#include "p11.h"

int main(int argc, char **argv) {
	CK_MECHANISM pad = {CKM_AES_KEY_WRAP_PAD, NULL, 0};
	CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
	CK_KEY_TYPE aes = CKK_AES;
	unsigned char kek[32], key[16], blob[64];
	unsigned long n = sizeof blob;
	CK_OBJECT_HANDLE a, b;

	memset(kek, 0x11, sizeof kek);
	memset(key, 0x22, sizeof key);
	CK_ATTRIBUTE outer[] = {A(CKA_CLASS, secret), A(CKA_KEY_TYPE, aes), A(CKA_WRAP, yes), {CKA_VALUE, kek, sizeof kek}};
	CK_ATTRIBUTE inner[] = {A(CKA_CLASS, secret), A(CKA_KEY_TYPE, aes), A(CKA_EXTRACTABLE, yes), {CKA_VALUE, key, sizeof key}};
	CK_C_INITIALIZE_ARGS args = {.pReserved = argc > 2 ? argv[2] : NULL};

	load(argv[1]);
	MUST(p11->C_Initialize(argc > 2 ? (void *)&args : NULL));
	CK_SESSION_HANDLE s = argc > 2 ? first() : login("line", "12345678");
	MUST(p11->C_CreateObject(s, outer, N(outer), &a));
	MUST(p11->C_CreateObject(s, inner, N(inner), &b));
	MUST(p11->C_WrapKey(s, &pad, a, b, blob, &n));
	for (unsigned i = 0; i < n; i++) printf("%02x", blob[i]);
	printf("\n");
	return 0;
}
C
kek=1111111111111111111111111111111111111111111111111111111111111111
key=22222222222222222222222222222222
wrapped() { # CIPHER IV: what is on standard input, in hexadecimal
	xxd -r -p | openssl enc -e "-$1" -K $kek -iv "$2" | xxd -p -c 99
}
rfc5649=$(echo $key | wrapped id-aes256-wrap-pad a65959a6)
rfc3394=$(echo ${key}0808080808080808 | wrapped id-aes256-wrap a6a6a6a6a6a6a6a6)
softhsm=$("$tmp/probe" "$root/usr/lib/softhsm/libsofthsm2.so")
nss=$("$tmp/probe" "$libdir/libsoftokn3.so" "configdir='' certPrefix='' keyPrefix='' secmod='' flags=readOnly,noCertDB,noModDB")
[ "$softhsm" = "$rfc5649" ] || changed "SoftHSM no longer gives what RFC 5649 gives: $rfc5649"
[ "$nss" = "$rfc3394" ] || changed "NSS no longer gives what RFC 3394 over padded data gives: $rfc3394"
echo "SoftHSM: $((${#softhsm} / 2)) bytes, as id-aes256-wrap-pad"
echo "NSS: $((${#nss} / 2)) bytes, as id-aes256-wrap over the key and 8 bytes of PKCS#7 padding"
stands
