#!/bin/bash
# tpm2-pkcs11 1.9.0 (Debian 1.9.0-0.1+deb12u1) lists CKM_AES_KEY_GEN, with the flag
# that it generates, and C_GenerateKey with it is CKR_FUNCTION_NOT_SUPPORTED. A
# program that picks its way by the list of mechanisms picks one that is not there.
#
# Seen, on swtpm 0.7.1:
#	CKM_AES_KEY_GEN: listed, generates, 16 to 32 bytes
#	C_GenerateKey: CKR_FUNCTION_NOT_SUPPORTED
#
# Packages: libtpm2-pkcs11-1, libtss2-*, libyaml-0-2, swtpm, swtpm-libs, swtpm-tools, libtpms0, opensc,
# opensc-pkcs11, libp11-kit-dev (its header), all of Debian 12. The virtual TPM ends with the script.
. "$(dirname "$0")/lib.sh"
tss=3.2.1-3
debs libtpm2-pkcs11-1=1.9.0-0.1+deb12u1 libtss2-esys-3.0.2-0=$tss libtss2-mu0=$tss libtss2-rc0=$tss libtss2-tctildr0=$tss \
	libtss2-sys1=$tss libtss2-tcti-swtpm0=$tss libyaml-0-2=0.2.5-1 swtpm=0.7.1-1.3 swtpm-libs=0.7.1-1.3 \
	libtpms0=0.9.2-3.1+deb12u1 opensc=0.23.0-0.3+deb12u2 opensc-pkcs11=0.23.0-0.3+deb12u2 libp11-kit-dev=0.24.1-2
export LD_LIBRARY_PATH=$libdir:$libdir/swtpm
mkdir "$tmp/tpm" "$tmp/store"
swtpm socket --tpm2 --tpmstate "dir=$tmp/tpm" --server "type=unixio,path=$tmp/socket" \
	--ctrl "type=unixio,path=$tmp/socket.ctrl" --flags not-need-init,startup-clear >"$tmp/swtpm.log" 2>&1 &
swtpm=$!
trap 'kill $swtpm 2>/dev/null || :; wait $swtpm 2>/dev/null || :; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do [ ! -S "$tmp/socket" ] || break; sleep 0.05; done
export TPM2_PKCS11_STORE=$tmp/store TPM2_PKCS11_TCTI=swtpm:path=$tmp/socket TSS2_LOG=all+none
module=$libdir/libtpm2_pkcs11.so.1
pkcs11-tool --module "$module" --slot-index 0 --init-token --so-pin 87654321 --label line >"$tmp/init.log" 2>&1
pkcs11-tool --module "$module" --slot-index 0 --login --login-type so --so-pin 87654321 --init-pin --pin 12345678 >>"$tmp/init.log" 2>&1
probe <<'C'
#include "p11.h"

int main(int argc, char **argv) {
	CK_MECHANISM make = {CKM_AES_KEY_GEN, NULL, 0};
	CK_MECHANISM_INFO info;
	CK_SESSION_INFO where;
	unsigned long length = 32;
	CK_OBJECT_HANDLE key;
	CK_ATTRIBUTE want[] = {A(CKA_TOKEN, yes), A(CKA_ENCRYPT, yes), A(CKA_DECRYPT, yes), A(CKA_VALUE_LEN, length)};

	load(argv[1]);
	MUST(p11->C_Initialize(NULL));
	CK_SESSION_HANDLE s = login("line", "12345678");
	MUST(p11->C_GetSessionInfo(s, &where));
	MUST(p11->C_GetMechanismInfo(where.slotID, CKM_AES_KEY_GEN, &info));
	printf("CKM_AES_KEY_GEN: listed, %s, %lu to %lu bytes\n", info.flags & CKF_GENERATE ? "generates" : "does not generate",
		info.ulMinKeySize, info.ulMaxKeySize);
	printf("C_GenerateKey: %s\n", name(p11->C_GenerateKey(s, &make, want, N(want), &key)));
	return 0;
}
C
text=$("$tmp/probe" "$module" 2>"$tmp/probe.log") || changed "$(tail -1 "$tmp/probe.log")"
echo "$text"
seen "$text" "CKM_AES_KEY_GEN: listed, generates, 16 to 32 bytes" "C_GenerateKey: CKR_FUNCTION_NOT_SUPPORTED"
stands
