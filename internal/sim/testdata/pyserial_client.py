# A client of the chip's RFC 2217 server, made of pyserial alone: resets the
# chip into its loader, speaks to it at two speeds, and starts the application.
# Argument: URL. Prints what it saw.
import sys
import time

import serial


def frame(op, body, check=0):
    raw = bytes([0, op]) + len(body).to_bytes(2, "little") + check.to_bytes(4, "little") + body
    return b"\xc0" + raw.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def words(*w):
    return b"".join(v.to_bytes(4, "little") for v in w)


def ask(op, body, size, check=0):
    port.write(frame(op, body, check))
    return port.read(size)


def magic():
    return ask(0x0A, words(0x40001000), 14)[5:9].hex()


def until(text):
    seen = port.read_until(text)
    if not seen.endswith(text):
        sys.exit("waited for %r, saw %r" % (text, seen))
    return seen


port = serial.serial_for_url(sys.argv[1], baudrate=115200, timeout=5)

# Into the loader, one line after the other.
port.dtr = False
port.rts = True
time.sleep(0.1)
port.dtr = True
port.rts = False
time.sleep(0.05)
port.dtr = False
print("loader:", *until(b"waiting for download\r\n").decode().split()[-6:])

port.write(frame(0x08, bytes.fromhex("07071220") + b"\x55" * 32))
print("sync:", "".join(port.read(14)[2:3].hex() for _ in range(8)))
print("magic:", magic())

print("speed:", ask(0x0F, words(921600, 0), 16)[9])
port.baudrate = 921600
print("magic:", magic())

# Every byte value both ways: a flash block that the ROM answers with its MD5.
block = bytes(range(256)) * 4
check = 0xEF
for b in block:
    check ^= b

ask(0x0D, words(0, 0), 14)
print("begin:", ask(0x02, words(len(block), 1, len(block), 0x100000), 14)[9])
print("block:", ask(0x03, words(len(block), 0, 0, 0) + block, 14, check)[9])
print("md5:", ask(0x13, words(0x100000, len(block), 0, 0), 46)[9:41].decode())

# Into the application.
port.baudrate = 115200
port.rts = True
time.sleep(0.1)
port.rts = False
print("app:", *until(b"(SPI_FAST_FLASH_BOOT)\r\n").decode().split()[-1:])
until(b"station-example: ready")
print("lines:", port.cts, port.dsr, port.cd)
port.close()
