// Espressif's own esptool-js against station sim: what a client that knows
// nothing of this project takes for an ESP32, and for an ESP32-C3. Argument: the station program.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";
import { ESPLoader, Transport, UnsupportedCommandError } from "esptool-js";

// A socket as the browser's SerialPort, which esptool-js was made for.
class SocketPort {
  constructor(url) {
    this.url = new URL(url);
  }
  async open() {
    this.socket = connect(Number(this.url.port), this.url.hostname).setNoDelay();
    await once(this.socket, "connect");
    ({ readable: this.readable, writable: this.writable } = Duplex.toWeb(this.socket));
  }
  close() {
    this.readable = this.writable = undefined;
    this.socket.destroy();
  }
  getInfo() {
    return {};
  }
  setSignals() {} // a socket has no lines
  setBaudRate() {} // and no speed
}

let passed = 0, failed = 0;
async function check(name, body) {
  try {
    await body();
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}: ${error.stack}`);
  }
}

const words = (...values) => new Uint8Array(Uint32Array.from(values).buffer);
const refusal = (code) => (error) => error.message.endsWith(`failed with status 1,${code}`);

const chips = [{
  name: "esp32", title: "ESP32", description: "ESP32-D0WD-V3 (revision 3)",
  securityInfo: (loader) => assert.rejects(loader.getSecurityInfo(false), UnsupportedCommandError), // no ESP32 has it
  // BLOCK0 from 3FF5A000, BLOCK1 to 3 from 3FF5A038
  fuseWords: 31, fuse: (i) => 0x3ff5a000 + (i < 7 ? 4 * i : 0x38 + 4 * (i - 7)),
  beginWords: 4,
}, {
  name: "esp32c3", title: "ESP32-C3", description: "ESP32-C3 (QFN32) (revision v0.3)",
  securityInfo: async (loader) => assert.equal((await loader.getSecurityInfo(false)).chipId, 5),
  fuseWords: 84, fuse: (i) => 0x6000882c + 4 * i,
  beginWords: 5,
}];

async function conform(chip) {
  console.log(chip.title);
  const state = await mkdtemp(join(tmpdir(), "station-conformance-"));
  const sim = spawn(process.argv[2], ["sim", "--chip", chip.name, "--listen", "socket://127.0.0.1:0", "--state", state, "--mac", "02:0a:c4:01:02:03"],
    { stdio: ["pipe", "pipe", "inherit"] });
  const watchdog = setTimeout(() => {
    console.error("conformance: it takes longer than two minutes");
    sim.kill();
    process.exit(1);
  }, 120_000);
  const [url] = await once(createInterface(sim.stdout), "line");

  const transport = new Transport(new SocketPort(url));
  transport.trace = () => {};
  const loader = new ESPLoader({
    transport,
    baudrate: 921600,
    terminal: { clean() {}, write() {}, writeLine() {} },
  });

  await check(`connects and identifies an ${chip.title}`, async () => {
    await loader.detectChip("no_reset");
    assert.equal(loader.chip.CHIP_NAME, chip.title);
    assert.equal(loader.syncStubDetected, false);
  });
  await check("security info", () => chip.securityInfo(loader));
  await check("chip, revision, crystal", async () => {
    assert.equal(await loader.chip.getChipDescription(loader), chip.description);
    assert.equal(await loader.chip.getCrystalFreq(loader), 40);
  });
  await check("MAC", async () => assert.equal(await loader.chip.readMac(loader), "02:0a:c4:01:02:03"));
  await check("every fuse register", async () => {
    const fuses = await readFile(join(state, "efuse.bin"));
    assert.equal(fuses.length, 4 * chip.fuseWords);
    for (let i = 0; i < chip.fuseWords; i++) {
      assert.equal((await loader.readReg(chip.fuse(i))) >>> 0, fuses.readUInt32LE(4 * i), `word ${i}`);
    }
  });
  await check("921600 baud", async () => {
    await loader.changeBaud();
    assert.equal(loader.baudrate, 921600);
  });
  await check("flash attached, its ID and size", async () => {
    await loader.flashSpiAttach(0);
    assert.equal((await loader.readFlashId()) & 0xffffff, 0x1640ef);
    assert.equal(await loader.detectFlashSize(), "4MB");
  });

  const address = 0x10000, blockSize = 0x400;
  const image = await readFile(new URL("../fixtures/example/build/station-example.bin", import.meta.url));
  const firmware = new Uint8Array(Math.ceil(image.length / blockSize) * blockSize).fill(0xff);
  firmware.set(image);

  const begin = (...more) => loader.checkCommand("begin", loader.ESP_FLASH_BEGIN,
    words(firmware.length, firmware.length / blockSize, blockSize, address, ...more), 0, 0, 30_000);
  await check("a begin of another number of words is refused with 05", () =>
    assert.rejects(chip.beginWords === 4 ? begin(0) : begin(), refusal(5)));
  await check(`a begin of ${chip.beginWords} words is accepted`, () => chip.beginWords === 4 ? begin() : begin(0));
  await check("writes a firmware", async () => {
    for (let seq = 0; seq * blockSize < firmware.length; seq++) {
      await loader.flashBlock(firmware.slice(seq * blockSize, (seq + 1) * blockSize), seq, 3000);
    }
  });
  await check("the chip's MD5 is the firmware's", async () => {
    const md5 = Buffer.from(await loader.flashMd5sum(address, image.length), "hex").toString();
    assert.equal(md5, createHash("md5").update(image).digest("hex"));
  });
  await check("the flash holds the firmware and nothing else", async () => {
    const flash = await readFile(join(state, "flash.bin"));
    assert.deepEqual(flash.subarray(address, address + firmware.length), Buffer.from(firmware));
    flash.fill(0xff, address, address + firmware.length);
    assert.ok(flash.every((b) => b === 0xff));
  });

  await transport.disconnect();
  sim.kill("SIGINT");
  await once(sim, "exit");
  await rm(state, { recursive: true });
  clearTimeout(watchdog);
}

for (const chip of chips) {
  await conform(chip);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
