"""B2BUA call without audio. Asterisk is not in Debian 12: its figure is the published one."""

from rows import calls
from rows.figures import Figures

NAMES = ["b2bua-500", "b2bua-1000"]
ASTERISK_US = 3500.0


def run(bench):
    rows = {}
    for rate in (500, 1000):
        figures = Figures()
        count = rate * (5 if bench.quick else 20)
        figures.add("peer", ASTERISK_US)
        figures.note("Asterisk 22.10 chan_pjsip: 3,500-4,000 us as published, not measured in this run")
        for _ in range(bench.repeats if bench.ringfort else 0):
            us, result = calls.through(bench, calls.ringfort(bench, "b2bua", "relay"), count, rate)
            figures.add("ringfort", us)
            if result["good"] != count or result["failed"]:
                figures.note(f"ringfort: {calls.describe(result)}")
        if bench.ringfort:
            us, result = calls.through(bench, calls.ringfort(bench, "b2bua", "relay", shards=2), count, rate)
            figures.note(f"Ringfort with 2 shards: {us:.1f} us ({calls.describe(result)}); the row is one shard")
        rows[f"b2bua-{rate}"] = figures
    return rows
