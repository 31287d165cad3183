#!/bin/bash
# p11-kit 0.24.1 (Debian 0.24.1-2): each call of C_GetFunctionList on the proxy
# module makes a new module. A program that asks twice and calls
# C_Initialize through the one list is told through the other that it never
# did. Other modules, SoftHSM among them, hand out the same list each time.
#
# Seen:
#	proxy: two lists, the second says CKR_CRYPTOKI_NOT_INITIALIZED
#	SoftHSM: one list, it says CKR_OK
#
# Packages: libp11-kit0 (the proxy is in it), libp11-kit-dev (its header), softhsm2, libsofthsm2, all of Debian 12.
. "$(dirname "$0")/lib.sh"
debs libp11-kit0=0.24.1-2 libp11-kit-dev=0.24.1-2 softhsm2=2.6.1-2.1 libsofthsm2=2.6.1-2.1
softhsm
probe <<'C'
#include "p11.h"

int main(int argc, char **argv) {
	unsigned long n = 0;
	CK_FUNCTION_LIST *one, *two;

	load(argv[1]);
	one = p11;
	load(argv[1]);
	two = p11;
	MUST(one->C_Initialize(NULL));
	printf(one == two ? "one list, it says %s\n" : "two lists, the second says %s\n",
		name(two->C_GetSlotList(CK_TRUE, NULL, &n)));
	return 0;
}
C
text=$(
	echo "proxy: $("$tmp/probe" "$libdir/libp11-kit.so.0" 2>/dev/null)" # the modules of the system may have words of their own
	echo "SoftHSM: $("$tmp/probe" "$root/usr/lib/softhsm/libsofthsm2.so")"
)
echo "$text"
seen "$text" "proxy: two lists, the second says CKR_CRYPTOKI_NOT_INITIALIZED" "SoftHSM: one list, it says CKR_OK"
stands
