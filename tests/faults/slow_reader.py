#!/usr/bin/env python3
"""TCP peers that ask and never read: each is closed or held at a bounded queue, others are answered, memory stays."""

import socket
import time

import common
import lib
from processes import options


def body(checks, arguments, folder):
    peers_wanted, seconds = (20, 4) if arguments.quick else (100, 15)
    server = lib.Ringfort(arguments.ringfort, folder)
    server.start()
    peers = []
    try:
        before, memory = common.descriptors(server.process.pid), server.process.rss_kb()
        for _ in range(peers_wanted):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", server.sip_port))
            peer.setblocking(False)
            peers.append(peer)
        end, sent, closed, number, times = time.monotonic() + seconds, 0, set(), 0, []
        while time.monotonic() < end:
            for peer in peers:
                number += 1
                text = "".join(options(server.sip_port, 5999, f"slow-{number}-{part}") for part in range(20)).replace("/UDP", "/TCP")
                try:
                    sent += peer.send(text.encode())
                except BlockingIOError:
                    pass
                except OSError:
                    closed.add(peer)
            times += common.options_times(server.sip_port, 10, f"beside-{number}")
        grown = server.process.rss_kb() - memory
        checks.check(grown < 65536 + peers_wanted * 1024, f"{sent} octets sent by {peers_wanted} peers that never read: {grown} KiB more memory")
        checks.check(max(times) < 1000, f"others are answered: p99 {common.percentile(times, 0.99):.2f} ms")
        for peer in peers:
            peer.close()
        back = lib.eventually(20, lambda: common.descriptors(server.process.pid) <= before + 10, 0.5)
        checks.check(back, "descriptors come back")
        common.figure("slow_reader", f"{peers_wanted} peers, {sent} octets sent, {len(closed)} closed by the server, {grown} KiB more memory, "
                      f"OPTIONS beside them p99 {common.percentile(times, 0.99):.2f} ms")
    finally:
        for peer in peers:
            peer.close()
        server.stop()


lib.run("slow_reader", body, [common.QUICK])
