#!/bin/bash
# tpm2-pkcs11 on a virtual TPM (swtpm) behind tpm2-abrmd, on a message bus of
# its own. tpm2_ptool is the maker's tool.
. "$(dirname "$0")/lib.sh"
module=$(library libtpm2_pkcs11.so.1)
mkdir "$dir/state" "$dir/store"
swtpm_setup --tpm2 --tpmstate "$dir/state" --createek --overwrite >"$dir/daemon/setup.log" 2>&1
cat >"$dir/bus.conf" <<END
<busconfig><type>session</type><listen>unix:path=$dir/daemon/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
END
dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile >"$dir/daemon/bus.log" 2>&1 &
echo $! >"$dir/daemon/bus.pid"
disown # nobody tells of its end
wait_for "$dir/daemon/bus"
export DBUS_SESSION_BUS_ADDRESS=unix:path=$dir/daemon/bus
daemon start <<END
export DBUS_SESSION_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS
rm -f $dir/daemon/tpm $dir/daemon/tpm.ctrl
setsid swtpm socket --tpm2 --tpmstate dir=$dir/state --server type=unixio,path=$dir/daemon/tpm --ctrl type=unixio,path=$dir/daemon/tpm.ctrl --flags not-need-init,startup-clear >$dir/daemon/swtpm.log 2>&1 </dev/null &
echo \$! >$dir/daemon/swtpm.pid
for _ in \$(seq 100); do [ ! -S $dir/daemon/tpm ] || break; sleep 0.05; done
setsid tpm2-abrmd --session --allow-root --tcti=swtpm:path=$dir/daemon/tpm >$dir/daemon/abrmd.log 2>&1 </dev/null &
echo \$! >$dir/daemon/abrmd.pid
for _ in \$(seq 100); do dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetNameOwner string:com.intel.tss2.Tabrmd >/dev/null 2>&1 && break; sleep 0.05; done
END
daemon stop <<END
kill -9 \$(cat $dir/daemon/abrmd.pid) \$(cat $dir/daemon/swtpm.pid)
END
"$dir/daemon/start"
export TPM2_PKCS11_STORE=$dir/store TPM2_PKCS11_TCTI=tabrmd:bus_type=session TPM2TOOLS_TCTI=tabrmd:bus_type=session
export TSS2_LOG=all+none
tpm2_ptool init --path "$dir/store" >"$dir/daemon/ptool.log" 2>&1
tpm2_ptool addtoken --pid 1 --label line --sopin $SOPIN --userpin $PIN --path "$dir/store" >>"$dir/daemon/ptool.log" 2>&1
cat >"$dir/adopt" <<END
#!/bin/bash
exec tpm2_ptool addkey --algorithm "\${2:-hmac:sha256}" --label line --userpin $PIN --path $dir/store --key-label "\$1"
END
chmod +x "$dir/adopt"
export TOKEN_NAME=tpm TOKEN_DAEMON=$dir/daemon TOKEN_ADOPT=$dir/adopt TOKEN_URI
TOKEN_URI=$(uri line "$module")
"$@"
