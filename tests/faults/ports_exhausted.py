#!/usr/bin/env python3
"""More relayed calls than media ports: 503 for the new call only, the ports come back."""

import time

import common
import lib
import sipp
import through
from processes import free_port


def body(checks, arguments, folder):
    uas = free_port("udp")
    server = through.start(arguments, folder, "b2bua", "relay", uas, ports="10000-10159")
    called = sipp.uas(folder, uas)
    try:
        free = server.metric("ringfort_media_ports_free")
        load = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 50, 150, name="load", pause_ms=4000)
        time.sleep(2.5)
        held = server.metric("ringfort_calls") or 0
        result = load.finish(40)
        shed = server.metric("ringfort_shed_total") or 0
        checks.check(result["failed"] > 0 and result["good"] > 0 and result["good"] + result["failed"] == 150,
                     f"{result['good']} calls carried, {result['failed']} refused, {held:.0f} at once, {shed:.0f} shed")
        checks.check(shed >= result["failed"], "each refusal is counted")
        back = lib.eventually(30, lambda: server.metric("ringfort_media_ports_free") == free, 0.5)
        left = server.metric("ringfort_media_ports_free")
        checks.check(back, f"free ports: {free:.0f} before, {left:.0f} after")
        after = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 10, 20, name="after").finish(30)
        checks.check(after["good"] == 20, f"afterwards {after['good']} of 20 calls are good")
        common.figure("ports_exhausted", f"{result['good']} of 150 calls carried, {result['failed']} refused, {shed:.0f} counted as shed, "
                      f"free ports {free:.0f} before and {left:.0f} after, {after['good']} of 20 calls good afterwards")
    finally:
        called.stop()
        server.stop()


lib.run("ports_exhausted", body, [common.QUICK])
