# What the scripts of this folder share: a temporary folder that goes away,
# pinned packages in it, and the words of the verdict. It runs nothing itself.
set -euo pipefail
tmp=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX")
root=$tmp/root # where packages are unpacked; the system stays as it is
mkdir "$root"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

# changed WORDS: the behaviour is no longer what the script tells.
changed() {
	echo "CHANGED: $*" >&2
	exit 1
}

# stands: the last word of a script that saw what it tells.
stands() {
	echo "stands"
}

# debs NAME=VERSION…: exactly these Debian packages, unpacked and not installed.
debs() {
	local name
	for name; do
		(cd "$tmp" && apt-get -qq download "$name" >apt.log 2>&1) ||
			changed "Debian no longer has $name (or \"apt-get update\" is due): $(tail -1 "$tmp/apt.log")"
	done
	for name in "$tmp"/*.deb; do dpkg-deb -x "$name" "$root"; done
	rm -f "$tmp"/*.deb
	local dir
	dir=$(echo "$root"/usr/lib/*-linux-gnu*)
	export LD_LIBRARY_PATH=$dir PATH=$root/usr/bin:$root/usr/sbin:$PATH
	libdir=$dir
}

# probe: compile the C program on standard input, which includes p11.h, to $tmp/probe.
probe() {
	cat >"$tmp/probe.c"
	cc -Wall -Wno-unused -Werror -I"$here" -I"$root/usr/include/p11-kit-1" -o "$tmp/probe" "$tmp/probe.c" -ldl
}

# seen TEXT LINE…: each line, as it is, must be in the text.
seen() {
	local text=$1 line
	shift
	for line; do
		grep -qxF -- "$line" <<<"$text" || changed "no line \"$line\""
	done
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# softhsm: a SoftHSM token "line" with the PIN 12345678, out of the unpacked packages.
softhsm() {
	mkdir "$tmp/tokens"
	printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$tmp/tokens" >"$tmp/softhsm2.conf"
	export SOFTHSM2_CONF=$tmp/softhsm2.conf
	softhsm2-util --module "$root/usr/lib/softhsm/libsofthsm2.so" --init-token --free --label line --so-pin 87654321 --pin 12345678 >"$tmp/init.log"
}

# nss: a database of NSS without a PIN, and $parameters, what softokn wants at its start.
nss() {
	mkdir "$tmp/db"
	certutil -N -d "sql:$tmp/db" --empty-password
	parameters="configdir='sql:$tmp/db' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
}

# gorun MODULE@VERSION…: run the Go program on standard input with these modules. It has must.
gorun() {
	mkdir "$tmp/go"
	cat >"$tmp/go/main.go"
	cat >"$tmp/go/must.go" <<-'GO'
		package main

		func must[T any](v T, err error) T {
			if err != nil {
				panic(err)
			}
			return v
		}
	GO
	(
		cd "$tmp/go"
		export GOFLAGS="-trimpath -modcacherw"
		go mod init finding 2>/dev/null
		go get "$@" >get.log 2>&1 && go mod tidy >>get.log 2>&1 && go build -o probe . 2>>get.log
	) || changed "$(tail -3 "$tmp/go/get.log")"
	"$tmp/go/probe" "$tmp/go" || changed "the probe ended with a fault"
}
