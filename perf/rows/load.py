"""ringload beside SIPp as load generators: CPU time of a call and of an audio packet, and the pace of packets."""

import json
import os
import subprocess
import time

from processes import Process, free_port
from rows.figures import Figures
from rows.servers import SCENARIOS

NAMES = ["load-uac", "load-rtp", "load-pace"]
RATE = 4000


def run(bench):
    rows = {}
    if bench.wanted("load-uac"):
        rows["load-uac"] = calls(bench)
    if bench.wanted("load-rtp") or bench.wanted("load-pace"):
        rows["load-rtp"], rows["load-pace"] = audio(bench)
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


def answering(bench, scenario, *more):
    """The far end is ringload for both tools, so that both pay the same for what they send."""
    port = free_port("udp")
    process = Process([ringload(bench), "-sn", scenario, "-p", port, "--shards", 1, "--quiet", *more],
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


def audio(bench):
    cost, pace = Figures(), Figures()
    seconds, count = (5, 300) if bench.quick else (15, 500)
    with open(os.path.join(bench.folder, "audio.raw"), "wb") as file:
        file.write(bytes([0xFF, 0x7F]) * 4000)
    for _ in range(bench.repeats):
        far, port = answering(bench, "uas_audio", "--rtp-ports", "40000-49999")
        try:
            us, code, text = timed(
                ["sipp", "-sf", os.path.join(SCENARIOS, "rtp_stream.xml"), f"127.0.0.1:{port}", "-nostdin", "-i", "127.0.0.1",
                 "-r", 200, "-m", count, "-l", count, "-d", seconds * 1000], bench.folder, "load-sipp-rtp.out", 90)
        finally:
            far.stop(5)
        packets = received(far)
        cost.add("peer", us / max(packets, 1))
        cost.note(f"SIPp: exit code {code}, {packets} packets of it came, {count * seconds * 50} should have")
        far, port = answering(bench, "uas_audio", "--rtp-ports", "40000-49999")
        result = os.path.join(bench.folder, "load-rtp.json")
        try:
            us, code, text = timed(
                [ringload(bench), "-sn", "uac_audio", f"127.0.0.1:{port}", "--quiet", "--shards", 1, "-r", 200, "-m", count,
                 "-l", count, "-d", seconds * 1000, "--rtp-ports", "20000-29999", "--json", result],
                bench.folder, "load-rtp.out", 90)
        finally:
            far.stop(5)
        with open(result, encoding="utf-8") as file:
            heard = json.load(file)["audio"]
        # One sent, one received and judged: the smaller number of the two, so that nothing is counted twice.
        cost.add("ringfort", us / max(min(heard["sent"], heard["received"]), 1))
        pace.add("ringfort", heard["times_us"]["rtp_departure"]["p99"] / 1000)
        cost.note(f"ringload: exit code {code}, {heard['sent']} sent, {heard['received']} received and judged, "
                  f"{heard['lost']} lost, {heard['crosstalk']} of another call")
    cost.note(f"{count} calls of {seconds} s; SIPp sends and judges nothing, ringload sends, receives and judges; set-up included")
    return cost, pace


def received(process):
    """Packets that the far end received, from its last screen."""
    with open(process.log_path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Audio:"):
                return int(line.split(" sent, ")[1].split()[0])
    return 0
