"""A server that does not close what its clients have closed.

holder.py NAME leak|pool|saw: one more connection every second, for ever; 20 at once and no more; up to
10 and down again. NAME is what /proc/self/comm says.
"""

import socket
import sys
import time

name, how = sys.argv[1:]
with open("/proc/self/comm", "w", encoding="ascii") as comm:
    comm.write(name)
server = socket.create_server(("127.0.0.1", 0))
held = []


def hold():
    with socket.create_connection(server.getsockname()):
        held.append(server.accept()[0])


if how == "pool":
    for _ in range(20):
        hold()
while True:
    if how != "pool":
        hold()
    if how == "saw" and len(held) > 10:
        for connection in held:
            connection.close()
        held.clear()
    time.sleep(1)
