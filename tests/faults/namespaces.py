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
import sys
import time

import common
import lib
import sipp
from netns import Box, Impossible
from processes import Process

(NEAR, FAR), (CALLER, SERVER) = Box.hub, Box.addresses
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


class Inside(lib.Ringfort):
    """The appliance in its namespace."""

    def __init__(self, box, *arguments, **options):
        super().__init__(*arguments, **options)
        self.box = box
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text.replace("127.0.0.1", SERVER).replace(f"{SERVER}:{self.http_port}", f"127.0.0.1:{self.http_port}"))

    def arguments(self):
        return self.box.inside(1, super().arguments())


class SippIn(sipp.Sipp):
    """SIPp in a namespace."""

    def __init__(self, folder, name, box, end, port, arguments):
        self.stat, self.begin = os.path.join(folder, f"{name}.csv"), time.monotonic()
        argv = box.inside(end, ["sipp", *arguments, "-i", box.addresses[end], "-p", port, "-nostdin", "-trace_stat",
                                "-stf", self.stat, "-fd", "1"])
        self.process = Process(argv, os.path.join(folder, f"{name}.out"), env={"TERM": "dumb"}, cwd=folder)


def body(checks, arguments, folder):
    try:
        with Box() as box:
            impaired(checks, arguments, folder, box)
    except Impossible as error:
        lib.skip("namespaces", f"none can be made here: {error}")


def impaired(checks, arguments, folder, box):
    count, told, processes, server = 150 if arguments.quick else arguments.calls, [], [], None
    try:
        server = Inside(box, arguments.ringfort, folder, sip_port=SIP, trunks=[("sipp", f"udp:{SERVER}:{EXCHANGE}")],
                        routes=[common.TRUNK_ROUTE], domains=(SERVER,))
        server.start()
        called = SippIn(folder, "uas", box, 1, EXCHANGE, ["-sn", "uas", *TOLERANT])
        processes.append(called)
        for loss, goal in ((0.02, 1.0), (0.10, 0.999)):
            counts = os.path.join(folder, "counts")
            path = Process(box.inside(2, [sys.executable, os.path.abspath(__file__), "--forward", loss, counts]),
                           os.path.join(folder, "path.log"))
            try:
                time.sleep(0.5)
                result = SippIn(folder, f"uac{loss}", box, 0, PHONE, [
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


lib.run("namespaces", body, [common.QUICK, ("--calls", int, 1000, "calls at each loss")])
