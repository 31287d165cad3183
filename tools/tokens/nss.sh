#!/bin/bash
# The soft token of NSS behind p11-kit-proxy, which hands it its parameters
# (x-init-reserved): NSS does not start without them. p11-kit reads no
# configuration of a user who is root: the folder of its modules is laid over
# the system's in a mount namespace.
. "$(dirname "$0")/namespace.sh"
namespace "-m" "$0" "$@"
. "$(dirname "$0")/lib.sh"
module=$(library libsoftokn3.so)
proxy=$(library libp11-kit.so.0) # p11-kit-proxy.so is a link to it
mkdir "$dir/nss" "$dir/modules"
printf '%s\n' $PIN >"$dir/nss-pin"
certutil -N -d "sql:$dir/nss" -f "$dir/nss-pin"
cat >"$dir/modules/nss.module" <<END
module: $module
x-init-reserved: configdir='sql:$dir/nss' certPrefix='' keyPrefix='' secmod='secmod.db' flags=
END
mount --bind "$dir/modules" /usr/share/p11-kit/modules
export TOKEN_NAME=nss TOKEN_URI
TOKEN_URI=$(uri NSS%20Certificate%20DB "$proxy")
"$@"
