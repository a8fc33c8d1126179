"""Highest rate of proxied calls with 0 failed of 30,000."""

import sipp
from processes import free_port
from rows import calls
from rows.figures import Figures

NAMES = ["rate"]
STEPS = [3000, 5000, 7000, 8000, 9000, 10000, 11000, 12000, 13000, 14000]
QUICK = [2000, 3000, 4000, 5000]


def direct(bench, count, rate):
    """Without a server: what SIPp itself can do on this machine."""
    uas_port = free_port("udp")
    called = sipp.uas(bench.folder, uas_port)
    try:
        return sipp.uac(bench.folder, uas_port, free_port("udp"), calls.NUMBER, rate, count).finish(count / rate * 2 + 40)
    finally:
        called.stop()


def highest(bench, one, steps):
    """Climbs until a step has failed calls twice; the last good step and why it ended."""
    best, why = 0, "no step failed"
    for rate in steps:
        for _ in range(2):
            result = one(rate)
            good = result["failed"] == 0 and result["good"] == bench.rate_calls and result["code"] == 0
            if good:
                best = rate
                break
        else:
            why = f"at {rate}/s: {calls.describe(result)} in {result['seconds']:.1f} s"
            break
    return best, why


def run(bench):
    figures = Figures()
    bench.rate_calls = 10000 if bench.quick else 30000
    steps = QUICK if bench.quick else STEPS
    through = lambda make: lambda rate: calls.through(bench, make, bench.rate_calls, rate, settle=1)[1]
    # Kamailio may choose its better side: two workers use both cores, but reorder 180 and 200.
    tries = {workers: highest(bench, through(calls.kamailio(bench, children=workers)), steps) for workers in (1, 2)}
    figures.add("peer", max(best for best, _ in tries.values()))
    for workers, (best, why) in tries.items():
        figures.note(f"Kamailio with {workers} worker(s): {best}/s, stopped {why}")
    if bench.ringfort:
        # Ringfort may choose, too: one shard leaves the other core to SIPp.
        tries = {shards: highest(bench, through(calls.ringfort(bench, "proxy", shards=shards)), steps) for shards in (1, 2)}
        figures.add("ringfort", max(best for best, _ in tries.values()))
        for shards, (best, why) in tries.items():
            figures.note(f"Ringfort with {shards} shard(s): {best}/s, stopped {why}")
    best, why = highest(bench, lambda rate: direct(bench, bench.rate_calls, rate), steps[-4:])
    figures.note(f"SIPp against itself, no server: {best}/s ({why})")
    return {"rate": figures}
