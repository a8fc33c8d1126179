"""Memory: growth of the server by a binding (75,000 of them) and by a relayed call (1,000 of them)."""

import os
import time

import sipp
from rows import register, rtp, servers
from rows.figures import Figures

NAMES = ["memory-binding", "memory-call"]


def run(bench):
    rows = {}
    if bench.wanted("memory-binding"):
        rows["memory-binding"] = bindings(bench)
    if bench.wanted("memory-call"):
        rows["memory-call"] = relayed_calls(bench)
    return rows


def bindings(bench):
    figures = Figures()
    count, rate = (10000, 2000) if bench.quick else (75000, 3000)
    users_csv = os.path.join(bench.folder, "users-memory.csv")
    users = sipp.users_file(users_csv, count)

    def grow(name, port, process):
        before = process.rss_kb()
        _, result = register.measure(bench, port, process, users_csv, count, rate)
        time.sleep(2)
        figures.add(name, (process.rss_kb() - before) * 1024 / max(result["good"], 1))
        register.check(figures, name, result, count)

    peer = servers.Kamailio(bench, "registrar", children=1)
    try:
        grow("peer", peer.port, peer.process)
    finally:
        peer.stop()
    if bench.ringfort:
        ours = servers.ringfort(bench, users=users)
        try:
            grow("ringfort", ours.sip_port, ours.process)
        finally:
            ours.stop()
    figures.note(f"{count} bindings; growth includes what the traffic itself left behind (buffers, nonces)")
    return figures


def relayed_calls(bench):
    figures = Figures()
    for name, one in (("peer", rtp.rtpengine), ("ringfort", rtp.ringfort)):
        if name == "peer" or bench.ringfort:
            result = one(bench, 1000, name)
            figures.add(name, (result["rss_busy_kb"] - result["rss_idle_kb"]) * 1024 / max(result["calls"], 1))
    figures.note("1,000 relayed calls with audio; sockets' kernel memory not included")
    return figures
