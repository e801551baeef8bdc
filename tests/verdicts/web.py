#!/usr/bin/python3
"""A server of HTTP that keeps connections alive, and closes one that is idle: after so many graces,
or when the file "holding" is there, that is when the other end says that it has gone idle.

    web.py GRACES|holding|never
"""

import os
import select
import socket
import sys
import threading
import time

import ends


def request_of(client, buffered=b""):
    while b"\r\n\r\n" not in buffered:
        more = client.recv(65536)
        if not more:
            return None
        buffered += more
    return buffered.split(b"\r\n")[0].decode()


def goes_on(client, idle):
    """Whether another request comes before the connection has been idle for too long."""
    limit_s = float(idle) * ends.GRACE_S if idle[0].isdigit() else ends.PATIENCE_S
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and not (idle == "holding" and os.path.exists("holding")):
        if select.select([client], [], [], 0.01)[0]:
            return True
    return False


def serve(client, idle):
    with client:
        while request := request_of(client):
            print(request, flush=True)
            body = f"answer to {request}\n".encode() * (1000 if "large" in request else 1)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                           b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n%b"
                           % (len(body), body))
            if not goes_on(client, idle):
                return


with socket.create_server((ends.HOST, ends.PORT)) as listener:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, sys.argv[1]), daemon=True).start()
