#!/usr/bin/env python3
"""Registrations with digest by SIPp: every user is registered, a wrong password is not."""

import os

import lib
import sipp
from processes import free_port

SCENARIO = os.path.join(lib.ROOT, "perf", "scenarios", "register.xml")


def body(checks, arguments, folder):
    users_csv = os.path.join(folder, "users.csv")
    users = sipp.users_file(users_csv, arguments.users)
    server = lib.Ringfort(arguments.ringfort, folder, users=users)
    server.start()
    try:
        result = register(folder, server, users_csv, arguments.rate, arguments.users)
        checks.check(result["good"] == arguments.users and result["failed"] == 0,
                     f"{result['good']} of {arguments.users} registered with digest, {result['failed']} failed")
        held = server.settled("ringfort_registrations", arguments.users)
        checks.check(held == arguments.users, f"the metric shows {held} bindings")
        wrong_csv = os.path.join(folder, "wrong.csv")
        with open(users_csv, encoding="utf-8") as good, open(wrong_csv, "w", encoding="utf-8") as wrong:
            wrong.write(good.read().replace("password=pw-", "password=no-"))
        result = register(folder, server, wrong_csv, 50, 50)
        checks.check(result["good"] == 0 and result["failed"] == 50,
                     f"wrong passwords: {result['good']} of 50 registered")
    finally:
        code = server.stop()
    checks.check(code == 0, f"the appliance ends with 0 ({code})")


def register(folder, server, users_csv, rate, count):
    load = sipp.register(folder, server.sip_port, free_port("udp"), users_csv, rate, count, SCENARIO)
    return load.finish(count / rate * 2 + 40)


if __name__ == "__main__":
    lib.run("sipp_register", body, [("--users", int, 2000, "users"), ("--rate", int, 500, "registrations/s")])
