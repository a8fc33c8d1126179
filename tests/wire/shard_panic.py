#!/usr/bin/env python3
"""A shard panics under load: the other shard's calls go on, the shard comes back and takes calls."""

import time

import lib
import sipp
import through
from processes import free_port

VICTIM = 1


def body(checks, arguments, folder):
    uas_port = free_port("udp")
    server = through.start(arguments, folder, "b2bua", "relay", uas_port, fault_injection=True)
    called = sipp.uas(folder, uas_port)
    try:
        load = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 100, 600, name="load", pause_ms=10000)
        time.sleep(7)
        held = {shard: server.metric("ringfort_calls", shard=shard) or 0 for shard in (0, VICTIM)}
        checks.check(min(held.values()) > 100, f"calls in each shard before the fault: {held}")
        status, text = server.http("POST", f"/api/testing/panic?shard={VICTIM}")
        checks.check(status == 202, f"the panic is taken: {status} {text[:80]}")
        checks.check(lib.eventually(5, lambda: server.metric("ringfort_shard_restarts_total", shard=VICTIM) == 1),
                     "the shard's restart is counted")
        kept = server.metric("ringfort_calls", shard=0) or 0
        checks.check(kept >= held[0] * 0.8, f"the other shard still holds {kept:.0f} of {held[0]:.0f} calls")
        result = load.finish(60)
        checks.check(result["failed"] <= held[VICTIM], f"{result['failed']} calls lost, at most the shard's {held[VICTIM]:.0f}")
        checks.check(result["good"] >= 600 - held[VICTIM], f"{result['good']} calls of 600 ended well")
        after = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 100, 300, name="after").finish(60)
        checks.check(after["good"] == 300 and after["failed"] == 0, f"afterwards {after['good']} of 300 calls are good")
        checks.check(server.process.running(), "the process never ended")
    finally:
        called.stop()
        server.stop()


lib.run("shard_panic", body)
