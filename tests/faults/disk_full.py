#!/usr/bin/env python3
"""The data directory's disk is full: calls and registrations go on, the metric says so, all records come once there is room."""

import json
import os
import subprocess
import sys
import time

import common
import lib
import sipp
from processes import free_port


def body(checks, arguments, folder):
    data = os.path.join(folder, "data")
    os.mkdir(data)
    # In this process's own mount namespace: nobody else sees it, and it goes away with the last process.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "ringfort-test", data], check=True)
    uas = free_port("udp")
    users = [("1001", "secret"), ("1002", "secret")]
    server = lib.Ringfort(arguments.ringfort, folder, users=users, trunks=[("sipp", f"udp:127.0.0.1:{uas}")],
                          routes=[common.TRUNK_ROUTE])
    called = sipp.uas(folder, uas)
    filler = os.path.join(data, "filler")
    waiting = lambda: server.metric("ringfort_call_records_waiting") or 0
    calls = 0
    try:
        server.start()
        first = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 100, 200, name="before").finish(40)
        calls += first["good"]
        time.sleep(1)
        fill(filler)
        begin = time.monotonic()
        load = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 200, 2000, name="full")
        alarm = lib.eventually(8, lambda: waiting() > 0, 0.05)
        seen = time.monotonic() - begin
        with common.udp() as sock:
            registered = common.register(sock, server.sip_port, "1001", "secret", "full-1")
        full = load.finish(60)
        calls += full["good"]
        held = waiting()
        checks.check(full["good"] == 2000, f"{full['good']} of 2000 calls good on a full disk")
        checks.check(registered == 200, f"a REGISTER on a full disk is answered {registered}")
        checks.check(alarm and seen < 5, f"the metric says so after {seen:.2f} s, {held:.0f} records wait")
        os.unlink(filler)
        freed = time.monotonic()
        back = lib.eventually(10, lambda: waiting() == 0, 0.1)
        recovered = time.monotonic() - freed
        checks.check(back, f"recovered without a restart {recovered:.1f} s after there is room")
    finally:
        called.stop()
        server.stop()
        lines = [json.loads(line) for line in common.records(server)]
        subprocess.run(["umount", "-l", data], check=False)
    ids = {line["call_id"] for line in lines}
    checks.check(len(lines) == len(ids) == calls, f"{len(lines)} records of {calls} calls, {len(lines) - len(ids)} doubled")
    common.figure("disk_full", f"{full['good']} of 2000 calls good on a full disk, REGISTER {registered}, metric after {seen:.2f} s, "
                  f"{held:.0f} records waited, written {recovered:.1f} s after there was room, {len(lines)} records of {calls} calls")


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


if os.environ.get("RINGFORT_OWN_MOUNTS") != "1":
    probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    if probe.returncode != 0 and "--help" not in sys.argv:
        lib.skip("disk_full", "no mount namespace of one's own is permitted here")
    os.environ["RINGFORT_OWN_MOUNTS"] = "1"
    os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
lib.run("disk_full", body, [common.QUICK])
