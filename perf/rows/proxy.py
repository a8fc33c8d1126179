"""Proxied call (INVITE 100 180 200 ACK BYE 200) at 2,500 calls/s."""

from rows import calls
from rows.figures import Figures

NAMES = ["proxy"]


def run(bench):
    figures = Figures()
    rate, count = 2500, 7500 if bench.quick else 30000
    for _ in range(bench.repeats):
        us, result = calls.through(bench, calls.kamailio(bench), count, rate)
        figures.add("peer", us)
        judge(figures, "peer", result, count)
        if bench.ringfort:
            us, result = calls.through(bench, calls.ringfort(bench, "proxy"), count, rate)
            figures.add("ringfort", us)
            judge(figures, "ringfort", result, count)
    if bench.default_allocator:
        us, result = calls.through(bench, calls.kamailio(bench, allocator=None), count, rate)
        figures.note(f"Kamailio with Debian's default allocator: {us:.0f} us ({calls.describe(result)})")
    if bench.ringfort:
        us, result = calls.through(bench, calls.ringfort(bench, "proxy", shards=2), count, rate)
        figures.note(f"Ringfort with 2 shards: {us:.1f} us ({calls.describe(result)}); every second message crosses the mesh")
    figures.note(f"{count} calls, one worker and one shard")
    return {"proxy": figures}


def judge(figures, name, result, count):
    if result["good"] != count or result["failed"]:
        figures.note(f"{name}: {calls.describe(result)}")
