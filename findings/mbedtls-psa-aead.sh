#!/bin/bash
# Mbed TLS 2.28.3 (Debian 2.28.3-1): psa/crypto.h declares and describes the whole
# set of functions for authenticated ciphers in parts (psa_aead_decrypt_setup,
# psa_aead_update, psa_aead_verify, …), without a word that they are missing. A
# program that uses them compiles without a warning and cannot be linked: the
# library defines none of the ten. Of the functions for a message in one piece,
# and of hashes, MACs and ciphers in parts, it has all.
#
# Seen:
#	compiles
#	does not link: psa_aead_decrypt_setup
#	declared and not defined: 10, all psa_aead
#
# Packages: libmbedtls-dev and libmbedcrypto7 of Debian 12. Needs gcc.
. "$(dirname "$0")/lib.sh"
debs libmbedtls-dev=2.28.3-1 libmbedcrypto7=2.28.3-1
cat >"$tmp/open.c" <<'C'
#include <psa/crypto.h>

int main(void)
{
	psa_aead_operation_t op = PSA_AEAD_OPERATION_INIT;
	return psa_aead_decrypt_setup(&op, 0, PSA_ALG_GCM) != PSA_SUCCESS;
}
C
gcc -Wall -Wextra -Werror -I"$root/usr/include" -c -o "$tmp/open.o" "$tmp/open.c" || changed "it no longer compiles"
echo "compiles"
if gcc -o "$tmp/open" "$tmp/open.o" "$libdir"/libmbedcrypto.a 2>"$tmp/link.log"; then changed "it links"; fi
grep -q "undefined reference to .psa_aead_decrypt_setup" "$tmp/link.log" || changed "$(tail -1 "$tmp/link.log")"
echo "does not link: psa_aead_decrypt_setup"
grep -hoE '^psa_status_t psa_[a-z0-9_]+' "$root/usr/include/psa/crypto.h" | cut -d' ' -f2 | sort -u >"$tmp/declared"
nm --defined-only "$libdir"/libmbedcrypto.a 2>/dev/null | awk '$3 ~ /^psa_/ {print $3}' | sort -u >"$tmp/defined"
missing=$(comm -23 "$tmp/declared" "$tmp/defined")
[ -z "$(grep -v '^psa_aead_' <<<"$missing")" ] || changed "others are missing too: $missing"
text="declared and not defined: $(wc -l <<<"$missing"), all psa_aead"
echo "$text"
seen "$text" "declared and not defined: 10, all psa_aead"
stands
