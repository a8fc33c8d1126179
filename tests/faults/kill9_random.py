#!/usr/bin/env python3
"""kill -9 at random moments under calls and registrations: what was answered is there, no record is doubled or torn."""

import json
import os
import random
import re
import threading
import time

import common
import lib
import sipp
from processes import free_port



# Users that one life of the process may register.
USERS = 200


def registrations(server, first, answered, stop):
    """Registers one new user after the other until told to stop; `answered` holds those that got their 200."""
    number = first
    with common.udp(0.3) as sock:
        while number < first + USERS and not stop.is_set():
            user = f"u{number:06}"
            if common.register(sock, server.sip_port, user, f"pw-{user}", f"k{number}-{time.monotonic_ns()}") == 200:
                answered.add(user)
            number += 1


def body(checks, arguments, folder):
    kills = 8 if arguments.quick else arguments.kills
    users = sipp.users_file(os.path.join(folder, "users.csv"), kills * USERS)
    uas = free_port("udp")
    server = lib.Ringfort(arguments.ringfort, folder, users=users, trunks=[("sipp", f"udp:127.0.0.1:{uas}")],
                          routes=[common.TRUNK_ROUTE])
    called, random_ = sipp.uas(folder, uas), random.Random(arguments.seed)
    answered, ready, lost, next_user, missing, promised = set(), [], 0, 0, 0, 0
    try:
        server.start()
        for number in range(kills):
            stop = threading.Event()
            thread = threading.Thread(target=registrations, args=(server, next_user, answered, stop))
            thread.start()
            load = sipp.uac(folder, server.sip_port, free_port(first=4000, last=5900), "2001", 200, 2000, name="load")
            before = len(common.records(server))
            time.sleep(0.4 + random_.random() * 1.2)
            # Ended by now: a second later they have their records, whatever happens then.
            ended = load.counts()["good"]
            time.sleep(1)
            server.kill9()
            missing += max(0, ended - (len(common.records(server)) - before))
            promised += ended
            stop.set()
            thread.join()
            load.stop()
            next_user += USERS
            ready.append(server.start())
            # By name, not by number: a binding whose 200 was on its way may be there too, and must not make up for a lost one.
            lost += len(answered - held(server, next_user))
    finally:
        called.stop()
        server.stop()
    lines = common.records(server)
    torn = [line for line in lines if not whole(line)]
    calls = [json.loads(line)["call_id"] for line in lines if whole(line)]
    doubled = len(calls) - len(set(calls))
    checks.check(lost == 0, f"{lost} of {len(answered)} answered bindings lost in {kills} kills")
    checks.check(not torn and not doubled, f"{len(calls)} call records: {len(torn)} torn, {doubled} doubled")
    checks.check(missing == 0 and promised > 0, f"{missing} records missing of {promised} calls that had ended a second before a kill")
    checks.check(max(ready) < 5, f"ready again in {max(ready):.2f} s at most")
    common.figure("kill9_random", f"{kills} kills (seed {arguments.seed}), {lost} of {len(answered)} answered bindings lost, "
                  f"{len(calls)} records, {len(torn)} torn, {doubled} doubled, {missing} of {promised} promised missing, ready again in {max(ready):.2f} s at most")


def held(server, upto):
    """Names of the users that have a binding."""
    found = set()
    # The interface shows at most 10,000 rows: a thousand users at a time.
    for thousand in range(upto // 1000 + 1):
        status, text = server.http("GET", f"/api/registrations?limit=10000&prefix=u{thousand:03}")
        if status != 200:
            raise RuntimeError(f"registrations: {status} {text[:80]}")
        found |= set(re.findall(r"u[0-9]{6}", text))
    return found


def whole(line):
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


lib.run("kill9_random", body, [common.QUICK, ("--kills", int, 200, "how often"), ("--seed", int, 1, "of the moments")])
