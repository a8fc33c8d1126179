#!/usr/bin/env python3
"""Third-party call control (-3pcc): two controllers and two callees, with SIPp and ringload as either controller. Each
callee hears the other's session, each run ends by itself, and the counts are those of SIPp with SIPp."""

import csv
import os
import re
import socket
import subprocess

import lib
from processes import Process, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = os.path.join(HERE, "scenarios")
CALLS = 20
COUNTS = ["TotalCallCreated", "SuccessfulCall(C)", "FailedCall(C)", "IncomingCall(C)", "OutgoingCall(C)",
          "FailedUnexpectedMessage(C)", "FailedCallRejected(C)", "FailedCmdNotSent(C)", "OutOfCallMsgs(C)"]
# Commands that each controller sends and receives in a call.
COMMANDS = {"twin_a": (1, 2), "twin_b": (2, 1)}


class Wrong(Exception):
    """Something is not as expected."""


def check(good, what):
    if not good:
        raise Wrong(what)


def scenario_path(scenario):
    return os.path.join(SCENARIOS, f"{scenario}.xml")


def generator(name, tool, scenario, arguments, folder, path=None):
    """A generator and the path of its statistics file; the command line is the same for both tools."""
    stat = os.path.join(folder, f"{name}-{scenario}.csv")
    argv = [tool, *arguments, "-sf", path or scenario_path(scenario), "-i", "127.0.0.1", "-nostdin",
            "-timeout", "30", "-trace_stat", "-stf", stat, "-fd", "1"]
    if os.path.basename(tool) == "ringload":
        argv += ["--shards", "1", "--quiet"] if "-3pcc" not in arguments else ["--quiet"]
    return Process(argv, os.path.join(folder, f"{name}-{scenario}.out"), env={"TERM": "dumb"}, cwd=folder), stat


def bound(kind, port):
    # SIPp listens for its twin at all addresses, ringload at the one that is given.
    with open(f"/proc/net/{kind}", encoding="ascii") as file:
        return f":{port:04X} " in file.read()


def counts(path):
    with open(path, newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return {name: int(last[name]) for name in COUNTS}


def commands(process):
    """Commands sent and received, by the last screen."""
    with open(process.log_path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    sent = re.findall(r"\[ Sent Command \]\s+(\d+)", text)
    received = re.findall(r"\[ Received Command \]\s+(\d+)", text)
    return sum(map(int, sent)), sum(map(int, received))


def meet(folder, first, second, ringload, refuses=None):
    """One run of all four; returns what the controllers counted. With `refuses`, B's callee is that scenario, and all
    calls fail."""
    tool = {"sipp": "sipp", "ringload": ringload}
    name = f"{first}-{second}" + ("-refused" if refuses else "")
    ports = {scenario: free_port("udp") for scenario in ("twin_a_uas", "twin_b_uas", "twin_a", "twin_b")}
    link = free_port("tcp")
    running = []
    try:
        for scenario in ("twin_a_uas", "twin_b_uas"):
            path = refuses if refuses and scenario == "twin_b_uas" else scenario_path(scenario)
            callee, _ = generator(name, ringload, scenario, ["-p", ports[scenario], "-m", CALLS], folder, path)
            running.append(callee)
        twin = ["-3pcc", f"127.0.0.1:{link}"]
        b, b_stat = generator(name, tool[second], "twin_b",
                              [f"127.0.0.1:{ports['twin_b_uas']}", "-p", ports["twin_b"], *twin], folder)
        running.append(b)
        waits = [("udp", ports["twin_a_uas"]), ("udp", ports["twin_b_uas"]), ("tcp", link)]
        check(lib.eventually(5, lambda: all(bound(*place) for place in waits)), f"{name}: not all listen: {b.tail()}")
        a, a_stat = generator(name, tool[first], "twin_a",
                              [f"127.0.0.1:{ports['twin_a_uas']}", "-p", ports["twin_a"], *twin, "-m", CALLS, "-r", 20],
                              folder)
        running.append(a)
        callees = [] if refuses else [(callee, "a callee") for callee in running[:2]]
        for process, what in ((a, "controller A"), (b, "controller B"), *callees):
            code = process.wait(20)
            check(code == (1 if refuses else 0), f"{name}: {what} ends with {code}: {process.tail()}")
        for scenario, kind, process in (("twin_a", first, a), ("twin_b", second, b)):
            expected = tuple(CALLS * number for number in COMMANDS[scenario])
            if kind == "ringload" and not refuses:
                check(commands(process) == expected, f"{name}: {scenario}: {commands(process)} commands, not {expected}")
        return {"twin_a": counts(a_stat), "twin_b": counts(b_stat)}
    finally:
        for process in running:
            process.stop(3)


def passive(folder, first, second, ringload):
    """Controller A is called, and asks B before it answers; returns what the controllers counted."""
    tool = {"sipp": "sipp", "ringload": ringload}
    name = f"{first}-{second}-passive"
    ports = {scenario: free_port("udp") for scenario in ("user_uas", "twin_asks", "twin_passive")}
    link = free_port("tcp")
    twin = ["-3pcc", f"127.0.0.1:{link}"]
    running = []
    try:
        asked, _ = generator(name, ringload, "user_uas", ["-p", ports["user_uas"], "-m", CALLS], folder)
        b, b_stat = generator(name, tool[second], "twin_asks",
                              [f"127.0.0.1:{ports['user_uas']}", "-p", ports["twin_asks"], *twin], folder)
        running += [asked, b]
        check(lib.eventually(5, lambda: bound("udp", ports["user_uas"]) and bound("tcp", link)), f"{name}: {b.tail()}")
        a, a_stat = generator(name, tool[first], "twin_passive", ["-p", ports["twin_passive"], *twin, "-m", CALLS], folder)
        running.append(a)
        check(lib.eventually(5, lambda: bound("udp", ports["twin_passive"])), f"{name}: {a.tail()}")
        calling = Process([ringload, f"127.0.0.1:{ports['twin_passive']}", "-i", "127.0.0.1", "-m", CALLS, "-r", 40,
                           "-timeout", 20, "--quiet"], os.path.join(folder, f"{name}-uac.out"), cwd=folder)
        running.append(calling)
        for process, what in ((calling, "the caller"), (a, "controller A"), (b, "controller B"), (asked, "who is asked")):
            code = process.wait(20)
            check(code == 0, f"{name}: {what} ends with {code}: {process.tail()}")
        return {"twin_passive": counts(a_stat), "twin_asks": counts(b_stat)}
    finally:
        for process in running:
            process.stop(3)


def refused(ringload, arguments, expected):
    done = subprocess.run([ringload, *arguments], capture_output=True, text=True, timeout=10, check=False)
    check(done.returncode in (254, 255) and expected in done.stderr, f"{arguments}: {done.returncode} {done.stderr}")


def refusals(ringload):
    """What cannot work is told at the start."""
    a, target = os.path.join(SCENARIOS, "twin_a.xml"), "127.0.0.1:9"
    port = free_port("tcp")
    refused(ringload, [target, "-sf", a], "say with -3pcc HOST:PORT")
    refused(ringload, [target, "-3pcc", "127.0.0.1"], "needs no twin")
    refused(ringload, [target, "-sf", a, "-3pcc", f"127.0.0.1:{port}"], "start controller B first")
    refused(ringload, [target, "-sf", a, "-3pcc", "192.0.2.1"], "--i-own-the-target")
    refused(ringload, [target, "-sf", a, "-3pcc", "127.0.0.1", "--shards", "2"], "--shards 1")
    refused(ringload, [target, "-sf", a, "-slave", "s1"], "extended mode")
    with socket.create_server(("127.0.0.1", port)):
        b = os.path.join(SCENARIOS, "twin_b.xml")
        refused(ringload, [target, "-sf", b, "-p", "0", "-3pcc", f"127.0.0.1:{port}"], "cannot be listened at")


def hostile(ringload, folder):
    """A twin that sends anything at all: no crash, and an end when it never ends a command."""
    link = free_port("tcp")
    target = free_port("udp")
    process, stat = generator("hostile", ringload, "twin_b",
                              [f"127.0.0.1:{target}", "-p", free_port("udp"), "-3pcc", f"127.0.0.1:{link}"], folder)
    try:
        check(lib.eventually(5, lambda: bound("tcp", link)), f"does not listen: {process.tail()}")
        with socket.create_connection(("127.0.0.1", link), 5) as twin:
            twin.sendall(b"\x1b\x1bno head\x1bCall-ID:\x1bcall-id: x\r\ninternal-cmd: abort_call\r\n\r\n\x1b")
            twin.sendall(b"Call-ID: one\r\n\r\nno session\x1b" + bytes(range(27)) + b"\x1b")
            try:
                twin.sendall(b"x" * 200_000)
            except OSError:
                pass  # It hung up, as it should.
            code = process.wait(10)
        check(code == 1, f"hostile: ends with {code}: {process.tail()}")
        with open(process.log_path, encoding="utf-8") as file:
            check("longer than 65536 octets" in file.read(), process.tail())
        check(counts(stat)["FailedCall(C)"] == 1, f"{counts(stat)}")
    finally:
        process.stop(3)


def body(checks, arguments, folder):
    ringload = os.path.join(os.path.dirname(os.path.abspath(arguments.ringfort)), "ringload")
    if not os.path.exists(ringload):
        lib.skip("ringload_3pcc", f"there is no {ringload}")
    refusals(ringload)
    checks.check(True, "what cannot work is told at the start")
    hostile(ringload, folder)
    checks.check(True, "a hostile twin harms nothing")
    reference = meet(folder, "sipp", "sipp", ringload)
    check(all(found["SuccessfulCall(C)"] == CALLS for found in reference.values()), f"SIPp alone: {reference}")
    for first, second in (("sipp", "ringload"), ("ringload", "sipp"), ("ringload", "ringload")):
        found = meet(folder, first, second, ringload)
        check(found == reference, f"{first} as A, {second} as B: {found}, SIPp with SIPp {reference}")
        checks.check(True, f"{first} as controller A, {second} as B: {CALLS} calls, counts as SIPp with SIPp")
    refused_calls(checks, ringload, folder)
    reference = passive(folder, "sipp", "sipp", ringload)
    for first, second in (("sipp", "ringload"), ("ringload", "sipp"), ("ringload", "ringload")):
        found = passive(folder, first, second, ringload)
        check(found == reference, f"{first} as called A, {second} as B: {found}, SIPp with SIPp {reference}")
    checks.check(True, "a controller A that is called asks its twin before it answers, counts as SIPp with SIPp")


def refused_calls(checks, ringload, folder):
    """B's callee refuses: B's call fails, and takes A's with it."""
    with open(scenario_path("twin_b_uas"), encoding="utf-8") as file:
        text = file.read()
    path = os.path.join(folder, "twin_b_refuses.xml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("180 Ringing", "486 Busy Here"))
    reference = meet(folder, "sipp", "sipp", ringload, path)
    for first, second in (("sipp", "ringload"), ("ringload", "sipp"), ("ringload", "ringload")):
        found = meet(folder, first, second, ringload, path)
        check(found == reference, f"{first} as A, {second} as B, refused: {found}, SIPp with SIPp {reference}")
    checks.check(True, "calls that B's callee refuses fail on both sides, counts as SIPp with SIPp")


lib.run("ringload_3pcc", body)
