#!/usr/bin/python3
"""A client with a pool of Python requests, which goes idle between two requests.

    pool.py [unread]    a body is not read to its end first
"""

import sys
import time

import requests

import ends

URL = f"http://{ends.HOST}:{ends.PORT}/"


def get(session, path):
    deadline = time.monotonic() + ends.PATIENCE_S
    while True:
        try:
            return session.get(URL + path, stream=True)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


unread = sys.argv[1:] == ["unread"]
with requests.Session() as pool:
    first = get(pool, "large" if unread else "first")
    if unread:
        ends.hold()
        print(first.text, end="")
    else:
        print(first.text, end="")
        ends.hold()
    print(get(pool, "second").text, end="")
