#!/bin/bash
# The soft token of opencryptoki with its daemon pkcsslotd. Its folders and its
# shared memory have fixed names: it runs in a mount and an IPC namespace of
# its own, with its own folders over those of the system.
. "$(dirname "$0")/namespace.sh"
namespace "-m -i" "$0" "$@"
. "$(dirname "$0")/lib.sh"
module=$(library libopencryptoki.so)
mkdir -p "$dir/var/swtok/TOK_OBJ" "$dir/etc" "$dir/run/lock/opencryptoki/swtok" "$dir/run/opencryptoki"
printf 'version opencryptoki-3.1\nslot 3\n{\nstdll = libpkcs11_sw.so\ndescription = line-socket\n}\n' >"$dir/etc/opencryptoki.conf"
mount --bind "$dir/var" /var/lib/opencryptoki
mount --bind "$dir/etc" /etc/opencryptoki
mount --bind "$dir/run" /run
# A user's namespace knows one group, that of the user: there it is called pkcs11.
if [ "$TOKEN_NAMESPACE" = user ]; then
	sed 's/^pkcs11:x:[0-9]*:/pkcs11:x:0:/' /etc/group >"$dir/group"
	chmod 644 "$dir/group"
	mount --bind "$dir/group" /etc/group
fi
chgrp -R pkcs11 "$dir/run/lock" "$dir/run/opencryptoki" "$dir/var"
chmod -R g+rwx "$dir/run/lock" "$dir/run/opencryptoki" "$dir/var"
chmod 755 "$dir"
daemon start <<END
rm -f /run/pkcsslotd.pid /run/pkcsslotd.socket
/usr/sbin/pkcsslotd
for _ in \$(seq 100); do [ ! -s /run/pkcsslotd.pid ] || break; sleep 0.05; done
cat /run/pkcsslotd.pid >$dir/daemon/slotd.pid
END
daemon stop <<END
kill -9 \$(cat $dir/daemon/slotd.pid)
END
"$dir/daemon/start"
pkcs11-tool --module "$module" --slot 3 --init-token --so-pin $SOPIN --label line >/dev/null
pkcs11-tool --module "$module" --slot 3 --login --login-type so --so-pin $SOPIN --init-pin --pin $PIN >/dev/null
export TOKEN_NAME=opencryptoki TOKEN_DAEMON=$dir/daemon TOKEN_URI
TOKEN_URI=$(uri line "$module")
"$@"
