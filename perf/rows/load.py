"""ringload beside SIPp as load generators: CPU time of a call and of an audio packet, and the pace of packets."""

import json
import os
import subprocess
import time

from netns import Box, Pair
from processes import Process, free_port
from rows.figures import Figures
from rows.servers import SCENARIOS

NAMES = ["load-uac", "load-rtp", "load-pace", "load-rtp-xdp"]
RATE = 4000


def run(bench):
    rows = {}
    if bench.wanted("load-uac"):
        rows["load-uac"] = calls(bench)
    if bench.wanted("load-rtp") or bench.wanted("load-pace"):
        rows["load-rtp"], rows["load-pace"] = audio(bench, Loopback())
    if bench.wanted("load-rtp-xdp"):
        with ExpressPair() as road:
            rows["load-rtp-xdp"] = audio(bench, road)[0]
    return rows


def ringload(bench):
    return os.path.join(bench.tools, "ringload")


def timed(argv, folder, log, seconds):
    """Runs a program to its end; returns its CPU time in microseconds, its exit code and its output."""
    with open(os.path.join(folder, log), "w+b") as out:
        child = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, "TERM": "dumb"})
        end = time.monotonic() + seconds
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                child.kill()
                end += 5
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    return (usage.ru_utime + usage.ru_stime) * 1e6, child.returncode, text


class Loopback:
    """The way between generator, box and far end: none."""

    addresses = hub = ("127.0.0.1", "127.0.0.1")

    def words(self, _end, _express=True):
        return []

    def inside(self, _end, argv):
        return argv


class Express:
    """Namespaces; ringload's audio goes past the kernel's IP stack, SIPp's cannot."""

    core = None

    def words(self, end, express=True):
        """What ringload is told at an end."""
        pinned = [] if self.core is None else ["--cores", str(self.core)]
        lane = ["--xdp", self.devices[end]] if express else []
        return ["-i", self.addresses[end], *pinned, "--i-own-the-target", *lane]


class ExpressPair(Express, Pair):
    pass


class ExpressBox(Express, Box):
    pass


def answering(bench, scenario, *more, road=Loopback(), express=True):
    """The far end is ringload for both tools, so that both pay the same for what they send."""
    port = free_port("udp")
    process = Process(road.inside(1, [ringload(bench), "-sn", scenario, "-p", port, "--shards", 1, "--quiet",
                                      *road.words(1, express), *more]),
                      os.path.join(bench.folder, f"{scenario}.out"))
    time.sleep(0.5)
    return process, port


def calls(bench):
    figures = Figures()
    count = RATE * (3 if bench.quick else 10)
    for _ in range(bench.repeats):
        for server, argv in (("peer", ["sipp", "-sn", "uac", "-nostdin", "-i", "127.0.0.1"]),
                             ("ringfort", [ringload(bench), "-sn", "uac", "--quiet", "--shards", 1])):
            far, port = answering(bench, "uas")
            try:
                us, code, text = timed([*argv, f"127.0.0.1:{port}", "-r", RATE, "-m", count, "-l", 100000],
                                       bench.folder, f"load-{server}.out", 60)
            finally:
                far.stop(5)
            figures.add(server, us / count)
            if code != 0:
                figures.note(f"{server}: exit code {code}: {text[-200:]}")
    figures.note(f"{count} calls at {RATE} calls/s as caller, one core; the far end is ringload for both")
    return figures


def audio(bench, road):
    cost, pace = Figures(), Figures()
    seconds, count = (5, 300) if bench.quick else (15, 500)
    with open(os.path.join(bench.folder, "audio.raw"), "wb") as file:
        file.write(bytes([0xFF, 0x7F]) * 4000)
    near, target = road.addresses
    for _ in range(bench.repeats):
        # What SIPp is answered by stays in sockets: it has to be heard by sockets.
        far, port = answering(bench, "uas_audio", "--rtp-ports", "40000-49999", road=road, express=False)
        try:
            us, code, text = timed(
                road.inside(0, ["sipp", "-sf", os.path.join(SCENARIOS, "rtp_stream.xml"), f"{target}:{port}", "-nostdin", "-i", near,
                                "-r", 200, "-m", count, "-l", count, "-d", seconds * 1000]), bench.folder, "load-sipp-rtp.out", 90)
        finally:
            far.stop(5)
        packets = received(far)
        cost.add("peer", us / max(packets, 1))
        cost.note(f"SIPp: exit code {code}, {packets} packets of it came, {count * seconds * 50} should have")
        far, port = answering(bench, "uas_audio", "--rtp-ports", "40000-49999", road=road)
        result = os.path.join(bench.folder, "load-rtp.json")
        try:
            us, code, text = timed(
                road.inside(0, [ringload(bench), "-sn", "uac_audio", f"{target}:{port}", "--quiet", "--shards", 1, "-r", 200,
                                "-m", count, "-l", count, "-d", seconds * 1000, "--rtp-ports", "20000-29999", "--json", result,
                                *road.words(0)]),
                bench.folder, "load-rtp.out", 90)
        finally:
            far.stop(5)
        with open(result, encoding="utf-8") as file:
            found = json.load(file)
        heard, express = found["audio"], found["xdp"]
        # One sent, one received and judged: the smaller number of the two, so that nothing is counted twice.
        cost.add("ringfort", us / max(min(heard["sent"], heard["received"]), 1))
        pace.add("ringfort", heard["times_us"]["rtp_departure"]["p99"] / 1000)
        cost.note(f"ringload: exit code {code}, {heard['sent']} sent, {heard['received']} received and judged, "
                  f"{heard['lost']} lost, {heard['crosstalk']} of another call"
                  + (f"; by AF_XDP {express['sent']} and {express['received']}" if express["received"] else ""))
    cost.note(f"{count} calls of {seconds} s; SIPp sends and judges nothing, ringload sends, receives and judges; set-up included")
    return cost, pace


def received(process):
    """Packets that the far end received, from its last screen."""
    with open(process.log_path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Audio:"):
                return int(line.split(" sent, ")[1].split()[0])
    return 0
