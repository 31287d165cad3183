#!/bin/bash
# p11-kit remote in front of SoftHSM: the shape of a network HSM. The daemon
# is "p11-kit server"; the program sees p11-kit-client.so.
. "$(dirname "$0")/lib.sh"
module=$(library libsofthsm2.so)
client=$(library p11-kit-client.so)
mkdir "$dir/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$dir/tokens" >"$dir/softhsm2.conf"
export SOFTHSM2_CONF=$dir/softhsm2.conf
softhsm2-util --init-token --free --label line --so-pin $SOPIN --pin $PIN >/dev/null
socket=$dir/daemon/socket
daemon start <<END
export SOFTHSM2_CONF=$SOFTHSM2_CONF
rm -f $socket
setsid p11-kit server -f -n $socket --provider $module pkcs11: >$dir/daemon/log 2>&1 </dev/null &
echo \$! >$dir/daemon/server.pid
END
daemon stop <<END
kill -9 -- -\$(cat $dir/daemon/server.pid)
END
"$dir/daemon/start"
wait_for "$socket"
export P11_KIT_SERVER_ADDRESS=unix:path=$socket
export TOKEN_NAME=remote TOKEN_DAEMON=$dir/daemon TOKEN_URI
TOKEN_URI=$(uri line "$client")
"$@"
