# pyserial's RFC 2217 server on a device without modem lines: what a client
# does with DTR and RTS is printed instead. Arguments: device, TCP port.
import socket
import sys
import threading

import serial
import serial.rfc2217


class Lines(serial.Serial):
    """A serial port whose lines end on standard output."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self):
        print("dtr", int(self._dtr_state))

    def _update_rts_state(self):
        print("rts", int(self._rts_state))


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.Lock()

    def write(self, data):
        with self.lock:
            self.sock.sendall(data)


def forward(port, client, manager):
    while True:
        data = port.read(port.in_waiting or 1)
        client.write(b"".join(manager.escape(data)))


device = Lines(sys.argv[1], 9600, timeout=None)
listener = socket.create_server(("127.0.0.1", int(sys.argv[2])))
print("ready", listener.getsockname()[1])
sock, _ = listener.accept()
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
client = Client(sock)
manager = serial.rfc2217.PortManager(device, client)
threading.Thread(target=forward, args=(device, client, manager), daemon=True).start()
try:
    while data := sock.recv(4096):
        device.write(b"".join(manager.filter(data)))
except ConnectionResetError:
    pass  # the client has gone and leaves something unread
print("speed", device.baudrate)
