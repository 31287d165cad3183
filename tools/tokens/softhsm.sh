#!/bin/bash
# SoftHSM with a store of its own.
. "$(dirname "$0")/lib.sh"
module=$(library libsofthsm2.so)
mkdir "$dir/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$dir/tokens" >"$dir/softhsm2.conf"
export SOFTHSM2_CONF=$dir/softhsm2.conf
softhsm2-util --init-token --free --label line --so-pin $SOPIN --pin $PIN >/dev/null
export TOKEN_NAME=softhsm TOKEN_URI
TOKEN_URI=$(uri line "$module")
"$@"
