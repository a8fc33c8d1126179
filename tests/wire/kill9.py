#!/usr/bin/env python3
"""Bindings outlive kill -9: every binding that was answered with 200 is there after the restart."""

import os

import lib
import sipp
from sipp_register import register


def body(checks, arguments, folder):
    users_csv = os.path.join(folder, "users.csv")
    users = sipp.users_file(users_csv, arguments.users)
    server = lib.Ringfort(arguments.ringfort, folder, users=users)
    server.start()
    try:
        result = register(folder, server, users_csv, 2000, arguments.users)
        # No pause here: the 200 is the promise.
        server.kill9()
        checks.check(result["good"] == arguments.users, f"{result['good']} of {arguments.users} registered")
        took = server.start()
        held = server.settled("ringfort_registrations", result["good"])
        checks.check(held == result["good"], f"{held} of {result['good']} bindings after kill -9, ready in {took:.2f} s")
        server.kill9()
        took = server.start()
        checks.check(server.settled("ringfort_registrations", result["good"]) == result["good"],
                     f"all there after a second kill -9, ready in {took:.2f} s")
    finally:
        code = server.stop()
    checks.check(code == 0, f"the appliance ends with 0 ({code})")
    took = server.start()
    checks.check(server.settled("ringfort_registrations", result["good"]) == result["good"], f"and after an orderly stop ({took:.2f} s)")
    server.stop()


lib.run("kill9", body, [("--users", int, 10000, "bindings")])
