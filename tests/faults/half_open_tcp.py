#!/usr/bin/env python3
"""Thousands of TCP connections that send nothing or half a message: other callers hardly notice, all are closed."""

import resource
import socket
import time

import common
import lib


def body(checks, arguments, folder):
    wanted = 2000 if arguments.quick else arguments.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = min(wanted, hard - 500)
    server = lib.Ringfort(arguments.ringfort, folder)
    server.start()
    peers = []
    try:
        before, quiet = common.descriptors(server.process.pid), common.options_times(server.sip_port, 300, "before")
        begin = time.monotonic()
        for number in range(wanted):
            peer = socket.socket()
            peer.settimeout(2)
            peer.bind((f"127.0.0.{2 + number % 200}", 0))
            try:
                peer.connect(("127.0.0.1", server.sip_port))
                if number % 2:
                    peer.sendall(b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP ")
            except OSError:
                pass
            peers.append(peer)
        opened, most = time.monotonic() - begin, common.descriptors(server.process.pid)
        loud = common.options_times(server.sip_port, 300, "during")
        closed = lib.eventually(60, lambda: common.descriptors(server.process.pid) <= before + 10, 0.5)
        left = common.descriptors(server.process.pid) - before
        checks.check(closed, f"silent ones and half messages are closed by the header time: {left} descriptors above the start")
        checks.check(max(loud) < 1000, f"others are answered all the while: p99 {common.percentile(loud, 0.99):.2f} ms")
        for peer in peers:
            peer.close()
        back = lib.eventually(20, lambda: common.descriptors(server.process.pid) <= before + 10, 0.5)
        checks.check(back, f"descriptors: {before} before, {most} at most, {common.descriptors(server.process.pid)} after")
        checks.check(server.process.running(), "the appliance runs")
        common.figure("half_open_tcp", f"{wanted} connections in {opened:.1f} s, OPTIONS p99 {common.percentile(quiet, 0.99):.2f} ms "
                      f"before, {common.percentile(loud, 0.99):.2f} ms during; descriptors {before}, {most} at most, "
                      f"{common.descriptors(server.process.pid)} after")
    finally:
        for peer in peers:
            peer.close()
        server.stop()


lib.run("half_open_tcp", body, [common.QUICK, ("--connections", int, 10000, "how many")])
