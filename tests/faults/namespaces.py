#!/usr/bin/env python3
"""Calls between network namespaces of the test's own, over a path that loses, delays and reorders both ways.

The caller, the path and the appliance have a namespace each, joined by two pairs of virtual interfaces; nothing
leaves them. Where the kernel has no netem (many have not), a small forwarder in user space impairs the path.
"""

import heapq
import os
import random
import select
import socket
import subprocess
import sys
import time

NEAR, FAR, CALLER, SERVER = "10.99.1.1", "10.99.2.1", "10.99.1.2", "10.99.2.2"
SIP, PHONE, EXCHANGE = 5060, 5070, 5080
# A 180 that comes after the 200 is no error on such a path.
TOLERANT = ("-default_behaviors", "all,-abortunexp")


def forward(loss):
    """The path: what is lost is lost, the rest comes 5 to 35 ms later, in any order. Ends with its parent."""
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    near.bind((NEAR, SIP))
    # Answers go to the source's address at the port of the Via (RFC 3261 section 18.2.2): the caller's own.
    far.bind((FAR, PHONE))
    parent, dice, queue, count, lost = os.getppid(), random.Random(1), [], 0, 0
    print("path", flush=True)
    while os.getppid() == parent:
        pause = max(0.0, queue[0][0] - time.monotonic()) if queue else 0.1
        for sock in select.select([near, far], [], [], min(pause, 0.1))[0]:
            octets = sock.recv(65536)
            count += 1
            if dice.random() < loss:
                lost += 1
                continue
            heapq.heappush(queue, (time.monotonic() + 0.005 + dice.random() * 0.03, count, sock is near, octets))
        while queue and queue[0][0] <= time.monotonic():
            _, _, inward, octets = heapq.heappop(queue)
            sock, to = (far, (SERVER, SIP)) if inward else (near, (CALLER, PHONE))
            sock.sendto(octets, to)
        with open(sys.argv[3], "w", encoding="utf-8") as file:
            file.write(f"{lost} of {count}")


if len(sys.argv) > 2 and sys.argv[1] == "--forward":
    forward(float(sys.argv[2]))
    sys.exit()

import common  # noqa: E402
import lib  # noqa: E402
import sipp  # noqa: E402
from processes import Process  # noqa: E402

NAMES = [f"ringfort-{part}-{os.getpid()}" for part in ("caller", "path", "server")]


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def build():
    """Namespaces, two pairs of interfaces, addresses."""
    for name in NAMES:
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    for number, (outer, address, inner) in enumerate(((NAMES[0], CALLER, NEAR), (NAMES[2], SERVER, FAR))):
        ends = [f"rf{number}{end}{os.getpid() % 100000}" for end in "ab"]
        ip("-n", NAMES[1], "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", outer)
        for name, end, own in ((NAMES[1], ends[0], inner), (outer, ends[1], address)):
            ip("-n", name, "addr", "add", f"{own}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
    # The appliance's media and the caller's SDP never cross; only signalling has to find its way.
    ip("-n", NAMES[2], "route", "add", "default", "via", FAR)


def tear_down():
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


class Inside(lib.Ringfort):
    """The appliance in its namespace."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text.replace("127.0.0.1", SERVER).replace(f"{SERVER}:{self.http_port}", f"127.0.0.1:{self.http_port}"))

    def arguments(self):
        return ["ip", "netns", "exec", NAMES[2], *super().arguments()]


class SippIn(sipp.Sipp):
    """SIPp in a namespace."""

    def __init__(self, folder, name, namespace, address, port, arguments):
        self.stat, self.begin = os.path.join(folder, f"{name}.csv"), time.monotonic()
        argv = ["ip", "netns", "exec", namespace, "sipp", *arguments, "-i", address, "-p", port, "-nostdin", "-trace_stat",
                "-stf", self.stat, "-fd", "1"]
        self.process = Process(argv, os.path.join(folder, f"{name}.out"), env={"TERM": "dumb"}, cwd=folder)


def body(checks, arguments, folder):
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as error:
        tear_down()
        print(f"SKIP namespaces: none can be made here: {getattr(error, 'stderr', b'') or error}")
        sys.exit(77)
    count, told, processes, server = 150 if arguments.quick else arguments.calls, [], [], None
    try:
        server = Inside(arguments.ringfort, folder, sip_port=SIP, trunks=[("sipp", f"udp:{SERVER}:{EXCHANGE}")],
                        routes=[common.TRUNK_ROUTE], domains=(SERVER,))
        server.start()
        called = SippIn(folder, "uas", NAMES[2], SERVER, EXCHANGE, ["-sn", "uas", *TOLERANT])
        processes.append(called)
        for loss, goal in ((0.02, 1.0), (0.10, 0.999)):
            counts = os.path.join(folder, "counts")
            path = Process(["ip", "netns", "exec", NAMES[1], sys.executable, os.path.abspath(__file__), "--forward", loss, counts],
                           os.path.join(folder, "path.log"))
            try:
                time.sleep(0.5)
                result = SippIn(folder, f"uac{loss}", NAMES[0], CALLER, PHONE, [
                    "-sn", "uac", f"{SERVER}:{SIP}", "-rsa", f"{NEAR}:{SIP}", "-s", "2001", "-r", 50, "-m", count,
                    *TOLERANT,
                    "-l", 15000]).finish(count / 50 + 60)
            finally:
                path.stop(3)
            # So few calls cannot tell 99.9 %, and a busy machine makes SIPp late.
            goal = min(goal, 0.97) if arguments.quick else goal
            checks.check(result["good"] >= count * goal, f"{loss:.0%} lost each way: {result['good']} of {count} calls good, "
                         f"{result['retransmissions']} sent again")
            with open(counts, encoding="utf-8") as file:
                told.append(f"{loss:.0%} lost each way: {result['good']} of {count} calls good ({file.read()} datagrams lost)")
        checks.check(server.process.running(), "the appliance runs")
        common.figure("namespaces", "; ".join(told) + "; 5 to 35 ms of delay, reordered")
    finally:
        for process in processes:
            process.stop()
        if server:
            server.stop()
        tear_down()


lib.run("namespaces", body, [common.QUICK, ("--calls", int, 1000, "calls at each loss")])
