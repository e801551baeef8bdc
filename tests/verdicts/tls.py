#!/usr/bin/python3
"""One end of a connection of TLS, which does what its arguments say, one step each:

    certificate        (alone) make cert.pem and key.pem
    serve dial         the handshake is a part of it
    send=TEXT read     a message
    drain              read to the end, and say how that came: by close_notify or without
    notify             send close_notify
    fin close          half-close and close the connection, without a word of TLS
    hold trickle=N     as those of end.c
"""

import os
import socket
import ssl
import subprocess
import sys
import time

import ends


def certificate():
    subprocess.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                   "-subj /CN=a -keyout key.pem -out cert.pem".split(),
                   check=True, capture_output=True)


def serve():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate()
    context.load_cert_chain("cert.pem", "key.pem")
    with socket.create_server((ends.HOST, ends.PORT)) as listener:
        return context.wrap_socket(listener.accept()[0], server_side=True,
                                   suppress_ragged_eofs=False)


def dial():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + ends.PATIENCE_S
    while True:
        try:
            return context.wrap_socket(socket.create_connection((ends.HOST, ends.PORT)),
                                       suppress_ragged_eofs=False)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def drain(tls):
    received, how = b"", "close_notify"
    try:
        while more := tls.recv(65536):
            received += more
    except ssl.SSLZeroReturnError:
        pass  # close_notify, after our own
    except ssl.SSLEOFError:
        how = "no close_notify"
    print(f"drain {received}, then {how}", flush=True)


def notify(tls):
    """SSL_shutdown once: what the peer answers is not waited for."""
    tls.setblocking(False)
    try:
        tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    tls.setblocking(True)


def trickle(tls, graces):
    for _ in range(4 * int(graces)):
        time.sleep(ends.GRACE_S / 4)
        tls.sendall(b".")


def play(steps):
    tls = None
    for text in steps:
        step, _, value = text.partition("=")
        if step in ("serve", "dial"):
            tls = {"serve": serve, "dial": dial}[step]()
        elif step == "send":
            tls.sendall(value.encode())
        elif step == "read":
            print(f"read {tls.recv(65536)}", flush=True)
        elif step == "trickle":
            trickle(tls, value)
        elif step == "fin":
            socket.socket.shutdown(tls, socket.SHUT_WR)
        elif step == "close":
            tls.close()
        elif step == "hold":
            ends.hold()
        elif step == "await":
            ends.wait_for(value)
        elif step == "tell":
            ends.tell(value)
        else:
            {"drain": drain, "notify": notify}[step](tls)


if sys.argv[1] == "certificate":
    certificate()
else:
    play(sys.argv[1:])
os._exit(0)
