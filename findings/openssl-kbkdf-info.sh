#!/bin/bash
# OpenSSL 3.0.22 (Debian 3.0.22-1~deb12u2): "openssl kdf" joins the parts of an info
# that is given twice for HKDF, and for KBKDF keeps the first part and drops the
# others without a word. A context of two parts gives a good-looking, wrong key.
#
# Seen:
#	HKDF: two parts give what both as one give
#	KBKDF: two parts give what the first alone gives
#
# Packages: openssl, libssl3, of Debian 12.
. "$(dirname "$0")/lib.sh"
debs openssl=3.0.22-1~deb12u2 libssl3=3.0.22-1~deb12u2
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
hkdf() { openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:$key "$@" HKDF; }
kbkdf() { openssl kdf -keylen 32 -kdfopt mac:HMAC -kdfopt digest:SHA256 -kdfopt hexkey:$key -kdfopt salt:label "$@" KBKDF; }
first="-kdfopt hexinfo:6573703332" second="-kdfopt hexinfo:aabbccddeeff" both="-kdfopt hexinfo:6573703332aabbccddeeff"
[ "$(hkdf $first $second)" = "$(hkdf $both)" ] || changed "HKDF no longer joins the parts"
echo "HKDF: two parts give what both as one give"
[ "$(kbkdf $first $second)" != "$(kbkdf $both)" ] || changed "KBKDF joins the parts now"
[ "$(kbkdf $first $second)" = "$(kbkdf $first)" ] || changed "KBKDF no longer keeps the first part alone"
echo "KBKDF: two parts give what the first alone gives"
stands
