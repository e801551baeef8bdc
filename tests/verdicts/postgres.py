#!/usr/bin/python3
"""As much of a PostgreSQL server as psql talks to: it answers one query, and hangs up when the file
"holding" is there, with the message of a server that is shut down or without.

    postgres.py politely|silently
"""

import socket
import struct
import sys

import ends


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def receive(client, size):
    received = b""
    while len(received) < size and (more := client.recv(size - len(received))):
        received += more
    return received


READY = message(b"Z", b"I")
ONE_ROW = (message(b"T", b"\0\1one\0" + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0)) +
           message(b"D", struct.pack("!hi", 1, 1) + b"1") + message(b"C", b"SELECT 1\0") + READY)
SHUTDOWN = message(b"E", b"SFATAL\0VFATAL\0C57P01\0"
                         b"Mterminating connection due to administrator command\0\0")

with socket.create_server((ends.HOST, ends.PORT)) as listener:
    client, _ = listener.accept()
    listener.close()
    receive(client, struct.unpack("!i", receive(client, 4))[0] - 4)
    client.sendall(message(b"R", struct.pack("!i", 0)) +
                   message(b"S", b"server_version\00015.0\0") + READY)
    kind, size = struct.unpack("!ci", receive(client, 5))
    print(kind.decode(), receive(client, size - 4), flush=True)
    client.sendall(ONE_ROW)
    ends.wait_for("holding")
    if sys.argv[1] == "politely":
        client.sendall(SHUTDOWN)
    client.close()
