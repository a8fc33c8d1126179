#!/usr/bin/env python3
"""Two baresip phones register with digest and call each other; each hears the other's tone.

With --kamailio the same phones talk through Kamailio instead: that proves the test's own tools.
"""

import os

import baresip
import lib

USERS = [("1001", "pw-1001"), ("1002", "pw-1002")]


def body(checks, arguments, folder):
    if arguments.kamailio:
        through_kamailio(checks, folder)
        return
    server = lib.Ringfort(arguments.ringfort, folder, users=USERS, digest=arguments.digest.split(","),
                          extra='[local]\nmode = "b2bua"\nmedia = "relay"')
    server.start()
    try:
        for _ in baresip.call(checks, folder, server.sip_port, USERS, transport=arguments.transport):
            relayed = server.metric("ringfort_rtp_packets_total") or 0
            checks.check(relayed > 200, f"audio goes through the relay ({relayed:.0f} packets)")
            checks.check((server.metric("ringfort_calls") or 0) >= 1, "the call is counted")
        checks.check(lib.eventually(5, lambda: server.metric("ringfort_calls") == 0), "the call has ended")
    finally:
        code = server.stop()
        checks.check(code == 0, f"the appliance ends with 0 ({code})")


def through_kamailio(checks, folder):
    import sys
    sys.path.insert(0, os.path.join(lib.ROOT, "perf"))
    from rows import servers

    class Bench:
        children = 1

    Bench.folder = folder
    server = servers.Kamailio(Bench, "phones")
    try:
        for _ in baresip.call(checks, folder, server.port, USERS):
            pass
    finally:
        server.stop()


lib.run("baresip_call", body, [
    ("--kamailio", int, 0, "1: through Kamailio"),
    ("--transport", str, "udp", "udp or tcp"),
    ("--digest", str, "md5", "algorithms offered, with commas; libre 1.x of Debian 12 knows MD5 only")])
