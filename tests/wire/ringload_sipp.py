#!/usr/bin/env python3
"""ringload and SIPp on the same three pairs of scenario files, each against the other: the messages that each
sends are the same but for tags and branches, and so are the counts of the statistics file."""

import csv
import os
import re
import subprocess

import lib
from processes import Process, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = os.path.join(HERE, "scenarios")
PAIRS = ["dialog", "challenge", "branches"]
CALLS = 30
COUNTS = ["TotalCallCreated", "SuccessfulCall(C)", "FailedCall(C)", "IncomingCall(C)", "OutgoingCall(C)",
          "FailedUnexpectedMessage(C)", "Retransmissions(C)", "OutOfCallMsgs(C)"]


def generator(name, tool, role, arguments, folder, port):
    """The command line, which is the same for both tools."""
    log, stat = os.path.join(folder, f"{name}.messages"), os.path.join(folder, f"{name}.csv")
    argv = [tool, *arguments, "-sf", os.path.join(SCENARIOS, f"{role}.xml"), "-inf", os.path.join(SCENARIOS, "users.csv"),
            "-i", "127.0.0.1", "-p", port, "-m", CALLS, "-nostdin", "-trace_msg", "-message_file", log, "-trace_stat",
            "-stf", stat, "-fd", "1", "-timeout", "30", "-mp", 6100 if role.endswith("uac") else 6200]
    if os.path.basename(tool) == "ringload":
        argv += ["--shards", "1", "--quiet"]
    return Process(argv, os.path.join(folder, f"{name}.out"), env={"TERM": "dumb"}, cwd=folder), log, stat


def sent(path):
    """Messages that were sent, by call and in order, without what may differ."""
    with open(path, encoding="utf-8") as file:
        blocks = re.split(r"-{40,} .*\n", file.read())
    calls = {}
    for block in blocks:
        head, _, text = block.partition("\n\n")
        if "message sent" not in head:
            continue
        text = text.rstrip("\n")
        number = re.search(r"Call-ID: (\d+)-", text).group(1)
        text = re.sub(r"tag=[^;\s>]+", "tag=T", text)
        text = re.sub(r"branch=[^;\s]+", "branch=B", text)
        text = re.sub(r"Call-ID: (\d+)-\d+@", r"Call-ID: \1-P@", text)
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:P", text)
        # The body of SIPp's log ends as the message does; ours too. Credentials: the URI may be another one.
        text = re.sub(r"Authorization: Digest .*", lambda found: credentials(found.group(0)), text)
        calls.setdefault(number, []).append(text)
    return calls


def credentials(line):
    """What has to be the same: who, for which realm, with which nonce and opaque."""
    fields = dict(re.findall(r'(\w+)="?([^",]*)"?', line))
    return f"Authorization: {[fields.get(name) for name in ('username', 'realm', 'nonce', 'opaque', 'algorithm')]}"


def counts(path):
    with open(path, newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return {name: int(last[name]) for name in COUNTS}


def columns(path):
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\n").rstrip(";").split(";")


class Wrong(Exception):
    """Something is not as expected."""


def check(good, what):
    if not good:
        raise Wrong(what)


def tail(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()[-800:]


def bound(port):
    with open("/proc/net/udp", encoding="ascii") as file:
        return f":{port:04X} " in file.read()


def meet(folder, pair, caller, callee, ringload):
    """One run; returns what each side sent and counted."""
    tool = {"sipp": "sipp", "ringload": ringload}
    name = f"{pair}-{caller}-{callee}"
    uas_port, uac_port = free_port("udp"), free_port("udp")
    called, called_log, called_stat = generator(f"{name}-uas", tool[callee], f"{pair}_uas", [], folder, uas_port)
    lib.eventually(5, lambda: bound(uas_port))
    calling, calling_log, calling_stat = generator(
        f"{name}-uac", tool[caller], f"{pair}_uac", [f"127.0.0.1:{uas_port}", "-r", 50, "-s", "2001"], folder, uac_port)
    code = calling.wait(40)
    calling.stop(3)
    called_code = called.wait(5)
    called.stop(3)
    check(code == 0, f"{name}: the caller exits with {code}: {tail(calling.log_path)}")
    # SIPp as callee may wait for its dead calls before it ends.
    check(called_code in (0, None) or callee == "sipp", f"{name}: the callee exits with {called_code}: {tail(called.log_path)}")
    return {"uac": (sent(calling_log), calling_stat), "uas": (sent(called_log), called_stat)}


def same(name, expected, found):
    """Compares messages call by call, with the first difference shown."""
    check(expected.keys() == found.keys(), f"{name}: other calls: {sorted(expected)} {sorted(found)}")
    for number, messages in expected.items():
        for index, (one, other) in enumerate(zip(messages, found[number])):
            if one != other:
                lines = [pair for pair in zip(one.splitlines(), other.splitlines()) if pair[0] != pair[1]]
                check(False, f"{name}, call {number}, message {index}: {lines or (one, other)}")
        check(len(messages) == len(found[number]), f"{name}, call {number}: {len(messages)} messages, {len(found[number])}")


def body(checks, arguments, folder):
    ringload = os.path.join(os.path.dirname(os.path.abspath(arguments.ringfort)), "ringload")
    if not os.path.exists(ringload):
        lib.skip("ringload_sipp", f"there is no {ringload}")
    for pair in PAIRS:
        reference = meet(folder, pair, "sipp", "sipp", ringload)
        as_caller = meet(folder, pair, "ringload", "sipp", ringload)
        as_callee = meet(folder, pair, "sipp", "ringload", ringload)
        same(f"{pair}: ringload as caller", reference["uac"][0], as_caller["uac"][0])
        same(f"{pair}: ringload as callee", reference["uas"][0], as_callee["uas"][0])
        for role, run in (("uac", as_caller), ("uas", as_callee)):
            expected, found = reference[role][1], run[role][1]
            check(columns(expected) == columns(found), f"{pair} {role}: other columns in the statistics file")
            check(counts(expected) == counts(found), f"{pair} {role}: {counts(expected)}, ringload {counts(found)}")
        checks.check(True, f"{pair}: {CALLS} calls in both roles, the same messages and counts")
    broken(ringload, folder)
    checks.check(True, "a broken scenario, a foreign target and a silent one are told")


def broken(ringload, folder):
    """What is wrong is said with file, line and element, and exit code 255."""
    path = os.path.join(folder, "broken.xml")
    with open(path, "w", encoding="utf-8") as file:
        file.write('<scenario name="x">\n  <recv request="INVITE" optinal="true"/>\n</scenario>\n')
    done = subprocess.run([ringload, "-sf", path], capture_output=True, text=True, timeout=10, check=False)
    check(done.returncode == 255 and f"{path}:2: <recv>" in done.stderr, f"{done.returncode} {done.stderr}")
    done = subprocess.run([ringload, "192.0.2.1"], capture_output=True, text=True, timeout=10, check=False)
    check(done.returncode == 255 and "--i-own-the-target" in done.stderr, done.stderr)
    # Nobody answers there: the counts say so, and the exit code is SIPp's.
    port = free_port("udp")
    done = subprocess.run([ringload, f"127.0.0.1:{port}", "-m", "5", "-r", "50", "-max_retrans", "1", "--quiet"],
                          capture_output=True, text=True, timeout=20, check=False)
    check(done.returncode == 1 and "MaxUDPRetrans: 5" in done.stdout, f"{done.returncode} {done.stdout}")


lib.run("ringload_sipp", body)
