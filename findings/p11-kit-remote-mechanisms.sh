#!/bin/bash
# p11-kit 0.24.1 (Debian 0.24.1-2): a token behind "p11-kit server" has fewer
# mechanisms than the token itself, though nobody configured that: what p11-kit
# cannot put on its wire is left out of the list, AES key wrap and
# AES-CMAC among it. A token that does a job beside the program may
# be unable to do it over the socket.
#
# Seen, SoftHSM 2.6.1 behind it:
#	direct: 70 mechanisms, CKM_AES_KEY_WRAP yes, CKM_AES_CMAC yes
#	remote: 36 mechanisms, CKM_AES_KEY_WRAP no, CKM_AES_CMAC no
#
# Packages: p11-kit, p11-kit-modules, libp11-kit0, libp11-kit-dev (its header), softhsm2, libsofthsm2, all of Debian 12.
. "$(dirname "$0")/lib.sh"
debs p11-kit=0.24.1-2 p11-kit-modules=0.24.1-2 libp11-kit0=0.24.1-2 libp11-kit-dev=0.24.1-2 \
	softhsm2=2.6.1-2.1 libsofthsm2=2.6.1-2.1
softhsm
probe <<'C'
#include "p11.h"

int main(int argc, char **argv) {
	CK_SLOT_ID slots[16];
	CK_MECHANISM_TYPE list[512];
	unsigned long n = N(slots), count = N(list);
	int wrap = 0, cmac = 0;

	load(argv[1]);
	MUST(p11->C_Initialize(NULL));
	MUST(p11->C_GetSlotList(CK_TRUE, slots, &n));
	MUST(p11->C_GetMechanismList(slots[0], list, &count));
	for (unsigned long i = 0; i < count; i++) {
		if (list[i] == CKM_AES_KEY_WRAP) wrap = 1;
		if (list[i] == CKM_AES_CMAC) cmac = 1;
	}
	printf("%s: %lu mechanisms, CKM_AES_KEY_WRAP %s, CKM_AES_CMAC %s\n", argv[2], count, wrap ? "yes" : "no", cmac ? "yes" : "no");
	return 0;
}
C
module=$root/usr/lib/softhsm/libsofthsm2.so
"$root/usr/libexec/p11-kit/p11-kit-server" -f -n "$tmp/socket" --provider "$module" pkcs11: >"$tmp/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || :; wait $server 2>/dev/null || :; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do [ ! -S "$tmp/socket" ] || break; sleep 0.05; done
direct=$("$tmp/probe" "$module" direct)
export P11_KIT_SERVER_ADDRESS=unix:path=$tmp/socket
remote=$("$tmp/probe" "$libdir/pkcs11/p11-kit-client.so" remote)
printf '%s\n' "$direct" "$remote"
seen "$direct" "direct: 70 mechanisms, CKM_AES_KEY_WRAP yes, CKM_AES_CMAC yes"
seen "$remote" "remote: 36 mechanisms, CKM_AES_KEY_WRAP no, CKM_AES_CMAC no"
stands
