"""Calls of SIPp's built-in uac against its uas, through a server."""

import time

import sipp
from processes import free_port
from rows import servers

NUMBER = "2001"


def through(bench, make, calls, rate, settle=6):
    """One run. `make(uas_port)` starts the server and gives (server, port, process).

    Returns CPU microseconds a call, SIPp's counts and the rate that was reached.
    """
    uas_port = free_port("udp")
    called = sipp.uas(bench.folder, uas_port)
    server = None
    try:
        server, port, process = make(uas_port)
        before = process.cpu_ns()
        result = sipp.uac(bench.folder, port, free_port("udp"), NUMBER, rate, calls).finish(calls / rate * 1.5 + 40)
        result["rate"] = calls / max(result["seconds"], 0.001)
        time.sleep(settle)
        spent = process.cpu_ns() - before
        return spent / 1000 / max(result["good"], 1), result
    finally:
        called.stop()
        if server:
            server.stop()


def kamailio(bench, **options):
    def make(uas_port):
        server = servers.Kamailio(bench, "proxy", next_port=uas_port, **options)
        return server, server.port, server.process
    return make


def ringfort(bench, mode, media="direct", shards=1):
    """With as many shards as Kamailio has workers, unless said otherwise."""
    def make(uas_port):
        server = servers.ringfort(
            bench, shards=shards, trunks=[("sipp", f"udp:127.0.0.1:{uas_port}")],
            routes=[{"match": "^2[0-9]{3}$", "to": ["trunk:sipp"], "mode": mode, "media": media, "auth": "open"}])
        return server, server.sip_port, server.process
    return make


def describe(result):
    return f"{result['good']} good, {result['failed']} failed, {result['retransmissions']} sent again"
