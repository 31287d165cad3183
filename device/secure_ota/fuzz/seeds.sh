#!/bin/sh
# seeds.sh DATA DIR: what the fuzzers begin with, out of the test data.
set -eu
data=$1 dir=$2
mkdir -p "$dir/parse" "$dir/update"
seed() { # NUMBER OF THE DECODER, FILE, BYTES
	{ printf "\\$(printf %03o "$1")"; head -c "$3" "$2"; } > "$dir/parse/$1-$(basename "$2")"
}
for f in "$data"/*.bundle; do seed 0 "$f" 4096; done
for f in "$data"/*.img; do seed 1 "$f" 512; done
tail -c +33 "$data/next.bin" > "$dir/descriptor"
seed 2 "$dir/descriptor" 256
printf '\001\000\000\000\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\002\000\000\000\232\230\103\107' > "$dir/entry"
seed 3 "$dir/entry" 32
for f in "$data"/*.manifest; do seed 4 "$f" 1024; done
for f in "$data"/*table.bin; do seed 5 "$f" 256; done
for f in "$data"/*.der; do seed 6 "$f" 4096; done
printf 'v1.2.3-4-gabc\0001.2.3-rc1' > "$dir/versions"
seed 7 "$dir/versions" 64
# A manifest that opens under the fuzzer's own crypto: the descriptor in front, and sizes at the end of the halves.
{ head -c 256 "$dir/descriptor"; head -c 255 /dev/zero; printf '\000'; head -c 511 /dev/zero; printf '\001'; } > "$dir/manifest"
line() { printf '\000\000\000\000'; }
rsa() { head -c 383 /dev/zero; printf '\002'; } # opens to 32 bytes
ecies() { head -c 63 /dev/zero; printf '\001'; head -c 320 /dev/zero; } # a point of the curve
image() { # an image whose cipher text is the app
	printf '\317\266\210\007'; "$1"; head -c 16 /dev/zero; printf '\224\022\000\000'; head -c 104 /dev/zero
	head -c 23 "$data/next.bin"; printf '\000'; tail -c +25 "$data/next.bin" # no digest behind it
}
{ cat "$dir/manifest"; line; image rsa; } > "$dir/update/image"
{ cat "$dir/manifest"; line; image ecies; } > "$dir/update/ecies"
{ cat "$dir/manifest"; line; cat "$data/next.bundle"; } > "$dir/update/bundle"
{ cat "$dir/manifest"; printf '\050\003\007\000'; image rsa; } > "$dir/update/bad-line"
{ cat "$dir/manifest"; printf '\200\001\000\003'; cat "$data/next.bundle"; } > "$dir/update/bad-line-bundle"
rm "$dir/descriptor" "$dir/entry" "$dir/versions" "$dir/manifest"
