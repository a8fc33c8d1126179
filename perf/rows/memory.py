"""Memory: growth of the server by a binding (75,000 of them) and by a relayed call (1,000 of them)."""

import os
import time

import sipp
from rows import register, rtp, servers
from rows.figures import Figures

NAMES = ["memory-binding", "memory-call"]
LINGER_SECONDS = 35  # Timer J (RFC 3261 17.2.2) is 32 s


def run(bench):
    rows = {}
    if bench.wanted("memory-binding"):
        rows["memory-binding"] = bindings(bench)
    if bench.wanted("memory-call"):
        rows["memory-call"] = relayed_calls(bench)
    return rows


def bindings(bench):
    figures = Figures()
    count, rate = (10000, 2000) if bench.quick else (75000, 2000)
    known, fresh = os.path.join(bench.folder, "users-known.csv"), os.path.join(bench.folder, "users-fresh.csv")
    users = sipp.users_file(known, 1000)
    users += sipp.users_file(fresh, count, first=1000)

    def grow(name, port, process):
        # The same traffic first with 1,000 users again and again: what traffic itself holds (buffers,
        # transactions, nonces) is then at its peak and is not charged to the bindings.
        register.measure(bench, port, process, known, count, rate)
        time.sleep(LINGER_SECONDS)
        before = process.rss_kb()
        _, result = register.measure(bench, port, process, fresh, count, rate)
        time.sleep(LINGER_SECONDS)
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
    figures.note(f"growth by {count} bindings, after the same traffic with 1,000 users")
    return figures


def relayed_calls(bench):
    figures = Figures()
    few, many = 200, 1200
    for name, one, threads in (("peer", rtp.rtpengine, "rtpengine-2"), ("ringfort", rtp.ringfort, "ringfort-2")):
        if name == "peer" or bench.ringfort:
            # The slope: buffers and pools that the first call touches belong to no call.
            small, large = one(bench, few, threads), one(bench, many, threads)
            grown = large["rss_busy_kb"] - large["rss_idle_kb"] - (small["rss_busy_kb"] - small["rss_idle_kb"])
            figures.add(name, grown * 1024 / (many - few))
    figures.note(f"growth from {few} to {many} relayed calls with audio; sockets' kernel memory not included")
    return figures
