#!/usr/bin/env python3
"""Without a configuration: `ringfort run` on its own defaults, two phones with the passwords it made."""

import json
import os
import socket

import baresip
import lib
from processes import can_bind


class Demonstration(lib.Ringfort):
    """The appliance as the first command of the README starts it, with its data elsewhere."""

    def __init__(self, binary, folder):
        super().__init__(binary, folder)
        self.sip_port, self.http_port = 5060, 8080
        self.token_file = os.path.join(self.data, "token")

    def arguments(self):
        return [self.binary, "run", "--data", self.data]


def body(checks, arguments, folder):
    kinds = {5060: socket.SOCK_DGRAM, 8080: socket.SOCK_STREAM}
    taken = [port for port, kind in kinds.items() if not can_bind(port, kind)]
    if taken:
        lib.skip("demonstration", f"port {taken[0]} is in use")
    server = Demonstration(arguments.ringfort, folder)
    server.start()
    try:
        status, text = server.http("GET", "/api/users?secrets=true")
        users = json.loads(text).get("users", []) if status == 200 else []
        known = {user["name"]: user.get("password") for user in users}
        checks.check(sorted(known) == [str(number) for number in range(1001, 1010)], f"users {sorted(known)}")
        pair = [(name, known[name]) for name in ("1001", "1002")]
        for _ in baresip.call(checks, folder, server.sip_port, pair):
            pass
    finally:
        code = server.stop()
    checks.check(code == 0, f"the appliance ends with 0 ({code})")


lib.run("demonstration", body)
