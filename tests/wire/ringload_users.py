#!/usr/bin/env python3
"""Variables of users (<User>) with -users, and without: SIPp and ringload let each user count its calls in the same way,
with its own line of a file in USER order."""

import os
import re
import subprocess

import lib
from processes import Process, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = os.path.join(HERE, "scenarios")
CALLS, USERS = 12, 3


class Wrong(Exception):
    """Something is not as expected."""


def check(good, what):
    if not good:
        raise Wrong(what)


def bound(port):
    with open("/proc/net/udp", encoding="ascii") as file:
        return f":{port:04X} " in file.read()


def calls(folder, tool, ringload, arguments):
    """The subjects of a run's calls, in order."""
    name = f"{os.path.basename(tool)}-{len(arguments)}"
    log = os.path.join(folder, f"{name}.messages")
    port = free_port("udp")
    called = Process([ringload, "-sf", os.path.join(SCENARIOS, "user_uas.xml"), "-i", "127.0.0.1", "-p", port, "-m", CALLS,
                      "-timeout", "20", "--quiet"], os.path.join(folder, f"{name}-uas.out"), cwd=folder)
    try:
        check(lib.eventually(5, lambda: bound(port)), called.tail())
        caller = Process([tool, f"127.0.0.1:{port}", "-sf", os.path.join(SCENARIOS, "user_uac.xml"), "-i", "127.0.0.1",
                          "-p", free_port("udp"), "-inf", os.path.join(SCENARIOS, "user_lines.csv"), "-m", CALLS, "-nostdin",
                          "-timeout", "20", "-trace_msg", "-message_file", log, *arguments],
                         os.path.join(folder, f"{name}.out"), env={"TERM": "dumb"}, cwd=folder)
        try:
            code = caller.wait(25)
            check(code == 0, f"{name}: the caller ends with {code}: {caller.tail()}")
        finally:
            caller.stop(3)
    finally:
        called.stop(3)
    with open(log, encoding="utf-8") as file:
        sent = [block for block in re.split(r"-{40,} .*\n", file.read()) if "message sent" in block.split("\n\n")[0]]
    return [re.search(r"Subject: (.*)", block).group(1).strip() for block in sent]


def by_user(subjects):
    """What each user said, in order."""
    users = {}
    for subject in subjects:
        users.setdefault(re.match(r"user (\d+)", subject).group(1), []).append(subject)
    return users


def body(checks, arguments, folder):
    ringload = os.path.join(os.path.dirname(os.path.abspath(arguments.ringfort)), "ringload")
    if not os.path.exists(ringload):
        lib.skip("ringload_users", f"there is no {ringload}")
    lines = dict(zip("123", ("anna", "bert", "cora")))
    for tool, own in (("sipp", []), (ringload, ["--quiet", "--shards", "1"]), (ringload, ["--quiet", "--shards", "2"])):
        users = by_user(calls(folder, tool, ringload, ["-users", USERS, *own]))
        check(sorted(users) == sorted(lines) and sum(map(len, users.values())) == CALLS, f"{tool}: {users}")
        for user, said in users.items():
            expected = [f"user {user} makes call {made}.000000 as {lines[user]}" for made in range(1, len(said) + 1)]
            check(said == expected, f"{tool} {own}: {said}, not {expected}")
        checks.check(True, f"{os.path.basename(tool)} {' '.join(own[1:])}: {CALLS} calls of {USERS} users, each counts its own")
    for tool, own in (("sipp", []), (ringload, ["--quiet"])):
        said = {re.sub(" as.*", "", subject) for subject in calls(folder, tool, ringload, ["-r", 50, *own])}
        check(said == {"user 0 makes call 1.000000"}, f"{tool} without -users: {said}")
    checks.check(True, "without -users each call begins with nothing, for both")
    done = subprocess.run([ringload, "127.0.0.1:9", "-sf", os.path.join(SCENARIOS, "user_uac.xml"), "-users", "4", "-inf",
                           os.path.join(SCENARIOS, "user_lines.csv")], capture_output=True, text=True, timeout=10, check=False)
    check(done.returncode == 255 and "a line for each user is expected" in done.stderr, f"{done.returncode} {done.stderr}")
    checks.check(True, "more users than lines are refused at the start")


lib.run("ringload_users", body)
