"""REGISTER with digest: one registration is two REGISTERs (401, then 200)."""

import os
import time

import sipp
from processes import free_port
from rows import servers
from rows.figures import Figures

NAMES = ["register"]
SCENARIO = os.path.join(servers.SCENARIOS, "register.xml")


def measure(bench, server_port, process, users_csv, count, rate):
    """CPU microseconds of the server for each REGISTER request."""
    before = process.cpu_ns()
    load = sipp.register(bench.folder, server_port, free_port("udp"), users_csv, rate, count, SCENARIO)
    result = load.finish(count / rate * 2 + 30)
    time.sleep(0.5)
    spent = process.cpu_ns() - before
    return spent / 1000 / (2 * max(result["good"], 1)), result


def run(bench):
    figures = Figures()
    count, rate = (12000, 4000) if bench.quick else (20000, 4000)
    users_csv = os.path.join(bench.folder, "users.csv")
    users = sipp.users_file(users_csv, count)
    for _ in range(bench.repeats):
        peer = servers.Kamailio(bench, "registrar", children=1)
        try:
            us, result = measure(bench, peer.port, peer.process, users_csv, count, rate)
            figures.add("peer", us)
            check(figures, "peer", result, count)
        finally:
            peer.stop()
        if bench.ringfort:
            us = ringfort(bench, figures, users, users_csv, count, rate, shards=1)
            figures.add("ringfort", us)
    if bench.ringfort:
        us = ringfort(bench, figures, users, users_csv, count, rate, shards=2)
        figures.note(f"Ringfort with 2 shards: {us:.1f} us; every second message crosses the mesh")
    figures.note(f"{count} registrations at {rate}/s, MD5, each a 401 and a 200; one worker and one shard")
    return {"register": figures}


def ringfort(bench, figures, users, users_csv, count, rate, shards):
    ours = servers.ringfort(bench, users=users, shards=shards)
    try:
        us, result = measure(bench, ours.sip_port, ours.process, users_csv, count, rate)
        check(figures, f"ringfort, {shards} shard(s)", result, count)
        return us
    finally:
        ours.stop()


def check(figures, name, result, count):
    if result["good"] != count:
        figures.note(f"{name}: only {result['good']} of {count} good, {result['retransmissions']} sent again")
