"""Relayed RTP at 500 and 1,000 calls, against rtpengine and against the bare floor."""

from rows import servers
from rows.figures import Figures, median

NAMES = ["rtp-500", "rtp-1000"]


def run(bench):
    return {f"rtp-{calls}": row(bench, calls) for calls in (500, 1000)}


def row(bench, calls):
    figures = Figures()
    quality = {}
    for _ in range(bench.repeats):
        for name, one in RUNS:
            if name.startswith("ringfort") and not bench.ringfort:
                continue
            try:
                result = one(bench, calls, name)
            except RuntimeError as error:
                figures.note(f"{name}: {error}".splitlines()[0])
                continue
            quality.setdefault(name, []).append(result)
    # Two threads against two shards, as in the promise; one against one is shown beside it, and so is
    # the plain loop beside the floor of our own shape.
    for row_name, name in (("rtpengine", "rtpengine-2"), ("ringfort", "ringfort-2"), ("floor", "floor-uring")):
        for result in quality.get(name, []):
            figures.add(row_name, result["ns_per_packet"])
        quality[row_name] = quality.get(name, [])
    for name, results in quality.items():
        if name in ("rtpengine", "ringfort", "floor"):
            continue
        middle = lambda key: median([result[key] for result in results])
        figures.note(f"{name}: {middle('ns_per_packet'):.0f} ns, p50 {middle('p50_us'):.0f} us, p99 {middle('p99_us'):.0f} us, "
                     f"p99.9 {middle('p999_us'):.0f} us, lost {middle('loss_percent'):.3f} %, "
                     f"load late p99 {middle('load_late_p99_us'):.0f} us")
        if middle("load_late_p99_us") > 2000:
            figures.note(f"{name}: the load itself was late: the machine was too busy, latency is not to be judged")
        if not all(result["good"] for result in results):
            figures.note(f"{name}: a run was BAD (loss, cross-talk or calls that failed)")
    figures.quality = quality
    return figures


def rtpengine(bench, calls, name):
    server = servers.Rtpengine(bench, threads=int(name[-1]))
    try:
        return servers.rtpload(bench, "rtpengine", calls, server.process.pid, "--server", f"127.0.0.1:{server.port}")
    finally:
        server.stop()


def ringfort(bench, calls, name):
    callee = servers.free_port("udp")
    server = servers.ringfort(
        bench, shards=int(name[-1]), trunks=[("load", f"udp:127.0.0.1:{callee}")],
        routes=[{"match": "^7[0-9]{6}$", "to": ["trunk:load"], "mode": "b2bua", "media": "relay", "auth": "open"}])
    try:
        return servers.rtpload(bench, "sip", calls, server.process.pid, "--server", f"127.0.0.1:{server.sip_port}",
                               "--callee", f"127.0.0.1:{callee}")
    finally:
        server.stop()


def floor(bench, calls, name):
    server = servers.Floor(bench, calls, name.split("-")[1])
    try:
        return servers.rtpload(bench, "direct", calls, server.process.pid, "--pairs", server.pairs)
    finally:
        server.stop()


RUNS = (("rtpengine-1", rtpengine), ("rtpengine-2", rtpengine), ("ringfort-1", ringfort), ("ringfort-2", ringfort),
        ("floor-uring", floor), ("floor-plain", floor))
