#!/bin/bash
# esptool-js 0.7.0 (npm) changes the flash mode, speed or size in the header of a
# boot loader, as asked, and leaves the SHA-256 at its end as it was: it looks for
# the character '1' (0x31) at byte 23, where the format has the number 1. The image
# that goes to the flash no longer fits its own digest. And its reader
# of images takes the two digests from one byte too early: what it calls stored
# and what it calculates differ for a good image.
#
# Seen:
#	before: header 0220, digest fits
#	after: header 022f, digest does not fit
#	its reader: stored and calculated digest differ
#
# Package: esptool-js 0.7.0 of npm, without its install scripts. Needs node and npm.
. "$(dirname "$0")/lib.sh"
cd "$tmp"
echo '{"type":"module"}' >package.json
npm install --no-audit --no-fund --ignore-scripts --loglevel=error esptool-js@0.7.0 >npm.log 2>&1 || changed "npm no longer has esptool-js 0.7.0: $(tail -1 npm.log)"
cat >probe.mjs <<'JS'
import { createHash } from "node:crypto";
import { ESPLoader } from "esptool-js";
import { ESP32ROM } from "./node_modules/esptool-js/lib/targets/esp32.js";
import { loadFirmwareImage } from "./node_modules/esptool-js/lib/image/index.js";

const sha = (b) => createHash("sha256").update(b).digest();

// A whole image of the ESP32: header, one segment of 4 bytes, checksum, digest.
function image() {
  const b = Buffer.alloc(48);
  b.set([0xe9, 1, 2, 0x20], 0); // one segment, dio, 4 MB at 40 MHz
  b.writeUInt32LE(0x40080000, 4);
  b[8] = 0xee; // no pin for write protection
  b[23] = 1; // a digest follows
  b.writeUInt32LE(0x40080000, 24);
  b.writeUInt32LE(4, 28);
  b.set([1, 2, 3, 4], 32);
  b[47] = 0xef ^ 1 ^ 2 ^ 3 ^ 4;
  return new Uint8Array(Buffer.concat([b, sha(b)]));
}

function tell(when, b) {
  const fits = sha(b.slice(0, -32)).equals(Buffer.from(b.slice(-32)));
  console.log(`${when}: header ${Buffer.from(b.slice(2, 4)).toString("hex")}, digest ${fits ? "fits" : "does not fit"}`);
}

const transport = { getInfo: () => "none", hexify: (b) => Buffer.from(b).toString("hex") };
const loader = new ESPLoader({ transport, baudrate: 115200, terminal: { clean() {}, write() {}, writeLine() {} } });
loader.chip = new ESP32ROM();
const good = image();
tell("before", good);
tell("after", await loader._updateImageFlashParams(good, 0x1000, "dio", "80m", "4MB"));
const read = await loadFirmwareImage(loader.chip, good);
const same = Buffer.from(read.storedDigest).equals(Buffer.from(read.calcDigest));
console.log(`its reader: stored and calculated digest ${same ? "agree" : "differ"}`);
JS
text=$(node probe.mjs 2>node.log) || changed "$(tail -3 node.log)"
echo "$text"
seen "$text" "before: header 0220, digest fits" "after: header 022f, digest does not fit" \
	"its reader: stored and calculated digest differ"
stands
