#!/usr/bin/env python3
"""ringload against the appliance: a registration storm, calls with audio both ways through the B2BUA's relay, each
packet judged, calls over TCP, Ctrl-C, and a short search with its report."""

import json
import os
import signal
import subprocess
import time

import lib
from processes import Process, free_port


def body(checks, arguments, folder):
    ringload = os.path.join(os.path.dirname(os.path.abspath(arguments.ringfort)), "ringload")
    if not os.path.exists(ringload):
        lib.skip("ringload_load", f"there is no {ringload}")
    far_port = free_port("udp")
    server = lib.Ringfort(
        arguments.ringfort, folder, users=[(f"u{number}", "secret") for number in range(1, 41)],
        trunks=[("load", f"udp:127.0.0.1:{far_port}")],
        routes=[{"match": "^7[0-9]{3}$", "to": ["trunk:load"], "mode": "b2bua", "media": "relay", "auth": "open"}])
    server.start()
    try:
        target = f"127.0.0.1:{server.sip_port}"
        storm(checks, ringload, folder, target, server)
        audio(checks, ringload, folder, target, far_port)
        interrupt(checks, ringload, folder, target, far_port)
        search(checks, ringload, folder, target, far_port, server)
    finally:
        server.stop()
    echo(checks, ringload, folder)
    over_tcp(checks, ringload, folder)


def finished(argv, folder, name, seconds=60):
    """Runs ringload to its end; returns exit code, text and figures."""
    result = os.path.join(folder, f"{name}.json")
    process = Process([*argv, "--quiet", "--json", result], os.path.join(folder, f"{name}.out"), cwd=folder)
    code = process.wait(seconds)
    process.stop(3)
    figures = json.load(open(result, encoding="utf-8")) if os.path.exists(result) else {}
    return code, figures


def storm(checks, ringload, folder, target, server):
    code, figures = finished([ringload, target, "--register", 40, "-r", 100, "--shards", 2], folder, "register")
    good = code == 0 and figures["calls"]["successful"] == 40 and figures["times_us"]["register"]["count"] == 40
    checks.check(good, f"40 users register with digest: {figures.get('calls')}")
    checks.check(server.settled("ringfort_registrations", 40), "the appliance has 40 bindings")


def audio(checks, ringload, folder, target, far_port):
    far = Process([ringload, "-sn", "uas_audio", "-p", far_port, "--shards", 1, "--rtp-ports", "16000-16999", "--quiet",
                   "--json", os.path.join(folder, "far.json")], os.path.join(folder, "far.out"), cwd=folder)
    time.sleep(0.5)
    code, figures = finished([ringload, target, "-sn", "uac_audio", "-s", "7001", "-d", "2s", "-r", 20, "-m", 40, "--shards", 2,
                              "--rtp-ports", "17000-17999", "--hgrm", os.path.join(folder, "hgrm")], folder, "audio")
    far.stop(8, signal.SIGINT)
    heard = figures["audio"]
    checks.check(code == 0 and figures["calls"]["successful"] == 40, f"40 calls: {figures['calls']}")
    checks.check(heard["judged"] == 40 and heard["silent"] == 0 and heard["crosstalk"] == 0 and heard["unmarked"] == 0
                 and heard["received"] > 3600 and heard["loss"] < 0.01, f"audio both ways: { {k: heard[k] for k in heard if k != 'times_us'} }")
    checks.check(heard["times_us"]["rtp_mos_thousandths"]["p50"] > 4200, "the median stream's MOS is above 4.2")
    with open(os.path.join(folder, "far.json"), encoding="utf-8") as file:
        other = json.load(file)["audio"]
    checks.check(other["judged"] == 40 and other["silent"] == 0 and other["crosstalk"] == 0, f"the far end heard 40 streams: {other['received']}")
    with open(os.path.join(folder, "hgrm", "rtp_delay.hgrm"), encoding="utf-8") as file:
        checks.check("Percentile" in file.read(), "histograms are written")


def interrupt(checks, ringload, folder, target, far_port):
    far = Process([ringload, "-sn", "uas", "-p", far_port, "--shards", 1, "--quiet"], os.path.join(folder, "far2.out"), cwd=folder)
    time.sleep(0.5)
    result = os.path.join(folder, "stopped.json")
    calling = Process([ringload, target, "-s", "7001", "-d", "60s", "-r", 20, "--quiet", "--json", result],
                      os.path.join(folder, "stopped.out"), cwd=folder)
    time.sleep(2)
    code = calling.stop(8, signal.SIGINT)
    far.stop(8, signal.SIGINT)
    with open(result, encoding="utf-8") as file:
        calls = json.load(file)["calls"]
    checks.check(code == 99 and calls["stopped"] > 20 and calls["failed"] == 0, f"Ctrl-C: exit code {code}, {calls}")
    with open(os.path.join(folder, "far2.out"), encoding="utf-8") as file:
        text = file.read()
    checks.check(f"{calls['stopped']} good, 0 failed" in text, "each call was hung up with BYE")


def search(checks, ringload, folder, target, far_port, server):
    report = os.path.join(folder, "report")
    done = subprocess.run(
        [ringload, "search", target, "--callee", "7001", "--answer", f"127.0.0.1:{far_port}", "--what", "rate", "--start", "20",
         "--most", "40", "--seconds", "1", "--report", report, "--rtp-ports", "18000-18999",
         "--pid", str(server.process.pid)], capture_output=True, text=True, timeout=60, check=False)
    checks.check(done.returncode == 0 and "40 calls a second are carried" in done.stderr, f"a short search: {done.stderr[-300:]}")
    with open(os.path.join(report, "report.md"), encoding="utf-8") as file:
        text = file.read()
    checks.check("## Pass lines" in text and "](latency-calls-a-second.svg)" in text, "the report has lines and plots")


def echo(checks, ringload, folder):
    port = free_port("udp")
    far = Process([ringload, "-sn", "uas", "-rtp_echo", "-p", port, "--quiet", "--rtp-ports", "16000-16999"],
                  os.path.join(folder, "far4.out"), cwd=folder)
    time.sleep(0.5)
    code, figures = finished([ringload, f"127.0.0.1:{port}", "-sn", "uac_audio", "-r", 20, "-m", 10, "-d", "1s",
                              "--rtp-ports", "17000-17999"], folder, "echo")
    far.stop(8, signal.SIGINT)
    heard = figures["audio"]
    checks.check(code == 0 and heard["received"] > 450 and heard["crosstalk"] == 0 and heard["lost"] == 0,
                 f"-rtp_echo sends audio back: {heard['sent']} out, {heard['received']} in")


def over_tcp(checks, ringload, folder):
    port = free_port("tcp")
    far = Process([ringload, "-sn", "uas", "-t", "t1", "-p", port, "--quiet"], os.path.join(folder, "far3.out"), cwd=folder)
    time.sleep(0.5)
    code, figures = finished([ringload, f"127.0.0.1:{port}", "-t", "t1", "-r", 200, "-m", 300, "--shards", 2], folder, "tcp")
    far.stop(8, signal.SIGINT)
    checks.check(code == 0 and figures["calls"]["successful"] == 300 and figures["calls"]["retransmissions"] == 0,
                 f"300 calls over TCP: {figures.get('calls')}")


lib.run("ringload_load", body)
