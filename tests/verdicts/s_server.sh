#!/bin/sh
# openssl's server, until it is ended.
tls.py certificate
sleep infinity | openssl s_server -quiet -accept 7070 -cert cert.pem -key key.pem 2>/dev/null
