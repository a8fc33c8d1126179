#!/usr/bin/env python3
"""The file limit is reached by TCP connections: UDP callers go on, and with room there are new connections again."""

import resource
import socket
import time

import common
import lib

LIMIT = 400


def body(checks, arguments, folder):
    server = lib.Ringfort(arguments.ringfort, folder, limits={"calls": 10}, ports="10000-10099")
    server.start()
    peers = []
    try:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        before = common.descriptors(server.process.pid)
        for number in range(LIMIT + 200):
            peer = socket.socket()
            peer.settimeout(1)
            peer.bind((f"127.0.0.{2 + number % 200}", 0))
            try:
                peer.connect(("127.0.0.1", server.sip_port))
            except OSError:
                pass
            peers.append(peer)
        lib.eventually(3, lambda: common.descriptors(server.process.pid) >= LIMIT - 5)
        most = common.descriptors(server.process.pid)
        times = common.options_times(server.sip_port, 200, "full")
        busy = server.process.cpu_ns()
        checks.check(most >= LIMIT - 20, f"{most} descriptors of {LIMIT}: the limit is reached")
        checks.check(max(times) < 1000, f"UDP callers are answered at the limit: p99 {common.percentile(times, 0.99):.2f} ms")

        time.sleep(2)
        share = (server.process.cpu_ns() - busy) / 2e9
        checks.check(share < 1, f"no loop spins at the limit: {share:.0%} of a core")
        for peer in peers:
            peer.close()
        back = lib.eventually(20, lambda: common.descriptors(server.process.pid) <= before + 10, 0.5)
        after = common.descriptors(server.process.pid)
        checks.check(back, f"descriptors come back: {before} before, {after} after")
        checks.check(lib.eventually(10, lambda: tcp_answers(server.sip_port)), "a new TCP connection is answered")
        common.figure("file_limit", f"{most} descriptors of {LIMIT}, UDP OPTIONS p99 {common.percentile(times, 0.99):.2f} ms, "
                      f"{share:.0%} of a core at the limit, {after} descriptors after ({before} before)")
    finally:
        for peer in peers:
            peer.close()
        server.stop()


def tcp_answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as peer:
            peer.sendall(common.options(port, peer.getsockname()[1], "again").replace("/UDP", "/TCP").encode())
            return peer.recv(4096).startswith(b"SIP/2.0 200")
    except OSError:
        return False


lib.run("file_limit", body, [common.QUICK])
