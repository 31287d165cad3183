# What the scripts of this folder share. Each of them brings a token up in a
# temporary folder, runs a command with it, and takes everything down again:
#
#	tools/tokens/tpm.sh bin/station hsm status --hsm …
#
# The command finds in its environment
#
#	TOKEN_NAME     softhsm, opencryptoki, tpm, nss, remote
#	TOKEN_URI      the token's PKCS#11 URI, with the file of its PIN
#	TOKEN_DAEMON   the folder of its daemon: "stop" kills it, "start" starts it again;
#	               empty where the token has none
#	TOKEN_ADOPT    a command that makes an HMAC key of the label $1 with the
#	               maker's own tool; empty where it is not needed
#
# Nothing outside of the temporary folder is written, no daemon stays.
[ -z "${TOKEN_TRACE:-}" ] || set -x
set -euo pipefail

dir=$(mktemp -d "${TMPDIR:-/tmp}/station-token.XXXXXX")
umask 077
mkdir "$dir/daemon"
PIN=12345678
SOPIN=87654321
printf %s $PIN >"$dir/pin"
export TOKEN_DIR=$dir TOKEN_DAEMON= TOKEN_ADOPT= TOKEN_PIN=$PIN TOKEN_SOPIN=$SOPIN

# stop_all ends the daemons, the newest first, each by the id that it left.
stop_all() {
	local file pid
	for file in $(ls -t "$dir"/daemon/*.pid 2>/dev/null); do
		pid=$(cat "$file")
		kill -9 "$pid" 2>/dev/null || :
	done
	[ ! -x "$dir/daemon/clean" ] || "$dir/daemon/clean"
	rm -rf "$dir"
}
trap stop_all EXIT
trap 'exit 130' INT TERM HUP

# wait_for FILE: until a daemon's socket is there.
wait_for() {
	for _ in $(seq 100); do
		[ ! -e "$1" ] || return 0
		sleep 0.05
	done
	echo "$0: $1 did not appear" >&2
	return 1
}

# library NAME: the path of a module, wherever this Debian's architecture keeps it.
library() {
	local found
	for found in /usr/lib/*/"$1" /usr/lib/"$1" /usr/lib/*/pkcs11/"$1" /usr/lib/softhsm/"$1"; do
		[ ! -e "$found" ] || { echo "$found"; return; }
	done
	echo "$0: $1 is not installed; \"make tokens\" installs it" >&2
	return 1
}

uri() { # LABEL MODULE
	echo "pkcs11:token=$1?module-path=$2&pin-source=file:$dir/pin"
}

# daemon NAME: write the scripts "start" and "stop" from the text on standard input.
daemon() {
	printf '#!/bin/bash\nset -eu\n%s\n' "$(cat)" >"$dir/daemon/$1"
	chmod +x "$dir/daemon/$1"
}
