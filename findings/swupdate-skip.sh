#!/bin/bash
# SWUpdate 2022.12 as a client of hawkBit (Debian 2022.12+dfsg-4+deb12u3): told of a
# deployment that must not be installed now ("update": "skip", its maintenance
# window "unavailable"), it loads nothing, installs nothing and closes the action
# with the result "success". For a server that counts results the device is updated;
# and as the action is closed, it is not offered again when the window opens. Only
# a free text tells. The time that it reports is local and names no zone.
#
# Seen:
#	files asked for: 0
#	execution closed, finished success, details ['Skipped Update.']
#	time in a zone 8 hours east of UTC: 8 hours ahead, no zone named
#
# Packages: swupdate, libswupdate0.1 2022.12+dfsg-4+deb12u3 of Debian 12, with the
# libraries that they name. Needs python3 and openssl.
. "$(dirname "$0")/lib.sh"
debs swupdate=2022.12+dfsg-4+deb12u3 libswupdate0.1=2022.12+dfsg-4+deb12u3 libconfig9 libgpiod2 libjson-c5 \
	liblua5.3-0 librsync2 liburiparser1 libwebsockets17 libzck1 libarchive13 libcurl4 libext2fs2 libfdisk1
cd "$tmp"
cat >server.py <<'PY'
# A server of the DDI with one device and one action, for the loopback only.
import datetime, http.server, json

files, said = [], []

class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/hal+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        base = "http://127.0.0.1:%d" % self.server.server_port
        if self.path.startswith("/files/"):
            files.append(self.path)
            return self.answer({})
        if "/deploymentBase/" in self.path:
            file = {"filename": "a.swu", "size": 512, "hashes": {"sha1": "0" * 40, "md5": "0" * 32, "sha256": "0" * 64},
                    "_links": {"download": {"href": base + "/files/a.swu"}, "download-http": {"href": base + "/files/a.swu"}}}
            chunk = {"part": "os", "version": "1", "name": "os", "artifacts": [file]}
            return self.answer({"id": "7", "deployment": {"download": "forced", "update": "skip",
                                "maintenanceWindow": "unavailable", "chunks": [chunk]}})
        to = base + "/default/controller/v1/lamp/deploymentBase/7"
        self.answer({"config": {"polling": {"sleep": "00:00:01"}}, "_links": {"deploymentBase": {"href": to}}})

    def do_POST(self):
        said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({})

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
print(server.server_port, flush=True)
server.timeout = 1
end = datetime.datetime.now() + datetime.timedelta(seconds=20)
while not said and datetime.datetime.now() < end:
    server.handle_request()
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
status = said[0]["status"]
print("files asked for: %d" % len(files))
print("execution %s, finished %s, details %s" % (status["execution"], status["result"]["finished"], status["details"]))
told = datetime.datetime.strptime(said[0]["time"], "%Y%m%dT%H%M%S")
print("time in a zone 8 hours east of UTC: %d hours ahead, no zone named" % round((told - now).total_seconds() / 3600))
PY
openssl req -x509 -newkey rsa:2048 -nodes -keyout signer.key -out signer.pem -subj /CN=signer 2>/dev/null
python3 server.py >server.log 2>server.err &
server=$!
until [ -s server.log ]; do kill -0 $server 2>/dev/null || changed "the server ended: $(tail -1 server.err)"; sleep 0.1; done
TZ=UTC-8 RUNTIME_DIRECTORY=$tmp TMPDIR=$tmp timeout 30 swupdate -v -H lamp:1.0 -k signer.pem \
	-u "-t default -u http://127.0.0.1:$(head -1 server.log) -i lamp -k token -p 1" >client.log 2>&1 &
client=$!
wait $server || changed "$(tail -1 server.err); $(tail -1 client.log)"
kill $client 2>/dev/null || true
wait $client 2>/dev/null || true
tail -n +2 server.log
seen "$(cat server.log)" "files asked for: 0" "execution closed, finished success, details ['Skipped Update.']" \
	"time in a zone 8 hours east of UTC: 8 hours ahead, no zone named"
stands
