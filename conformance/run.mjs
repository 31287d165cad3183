// Espressif's own esptool-js against station sim: what a client that knows
// nothing of this project takes for an ESP32. Argument: the station program.
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

const state = await mkdtemp(join(tmpdir(), "station-conformance-"));
const sim = spawn(process.argv[2], ["sim", "--listen", "socket://127.0.0.1:0", "--state", state, "--mac", "02:0a:c4:01:02:03"],
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

await check("connects and identifies an ESP32", async () => {
  await loader.detectChip("no_reset");
  assert.equal(loader.chip.CHIP_NAME, "ESP32");
  assert.equal(loader.syncStubDetected, false);
});
await check("has no security info, as no ESP32 has", () =>
  assert.rejects(loader.getSecurityInfo(false), UnsupportedCommandError));
await check("chip, revision, crystal", async () => {
  assert.equal(await loader.chip.getChipDescription(loader), "ESP32-D0WD-V3 (revision 3)");
  assert.equal(await loader.chip.getCrystalFreq(loader), 40);
});
await check("MAC", async () => assert.equal(await loader.chip.readMac(loader), "02:0a:c4:01:02:03"));
await check("every fuse register", async () => {
  const fuses = await readFile(join(state, "efuse.bin"));
  assert.equal(fuses.length, 4 * 31);
  for (let i = 0; i < 31; i++) {
    // BLOCK0 from 3FF5A000, BLOCK1 to 3 from 3FF5A038
    const register = 0x3ff5a000 + (i < 7 ? 4 * i : 0x38 + 4 * (i - 7));
    assert.equal((await loader.readReg(register)) >>> 0, fuses.readUInt32LE(4 * i), `word ${i}`);
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

await check("a begin of five words is refused with 05", async () => {
  loader.FLASH_WRITE_SIZE = blockSize;
  await assert.rejects(loader.flashBegin(firmware.length, address), refusal(5));
});
await check("a begin of four words is accepted", () =>
  loader.checkCommand("begin", loader.ESP_FLASH_BEGIN,
    words(firmware.length, firmware.length / blockSize, blockSize, address), 0, 0, 30_000));
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
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
