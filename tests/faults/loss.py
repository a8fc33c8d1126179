#!/usr/bin/env python3
"""SIP over a lossy, reordering path: a forwarder in user space between caller and appliance loses and delays datagrams."""

import heapq
import random
import select
import threading
import time

import common
import lib
import sipp
import through
from processes import free_port
from phone import udp


class Path(threading.Thread):
    """Forwards datagrams both ways; each is lost with a probability, the others come up to 20 ms later."""

    def __init__(self, server_port, loss, seed):
        super().__init__(daemon=True)
        self.near, self.far, self.loss, self.random = udp(), udp(), loss, random.Random(seed)
        self.server, self.caller, self.going = ("127.0.0.1", server_port), None, True
        self.lost = self.passed = 0
        self.port = self.near.getsockname()[1]

    def run(self):
        queue, count = [], 0
        while self.going:
            pause = max(0, queue[0][0] - time.monotonic()) if queue else 0.1
            for sock in select.select([self.near, self.far], [], [], min(pause, 0.1))[0]:
                octets, source = sock.recvfrom(65536)
                if sock is self.near:
                    self.caller = source
                if self.random.random() < self.loss:
                    self.lost += 1
                    continue
                self.passed, count = self.passed + 1, count + 1
                heapq.heappush(queue, (time.monotonic() + self.random.random() * 0.02, count, sock is self.near, octets))
            while queue and queue[0][0] <= time.monotonic():
                _, _, inward, octets = heapq.heappop(queue)
                if inward:
                    self.far.sendto(octets, self.server)
                elif self.caller:
                    self.near.sendto(octets, self.caller)

    def stop(self):
        self.going = False
        self.join()
        self.near.close()
        self.far.close()


def body(checks, arguments, folder):
    uas = free_port("udp")
    server = through.start(arguments, folder, "b2bua", "relay", uas)
    called = sipp.uas(folder, uas)
    count, told = (200 if arguments.quick else arguments.calls), []
    try:
        for loss, goal in ((0.02, 1.0), (0.10, 0.999)):
            path = Path(server.sip_port, loss, 1)
            path.start()
            try:
                # The URIs name the appliance, the datagrams go by the path.
                result = sipp.Sipp(folder, f"loss{loss}", ["-sn", "uac", f"127.0.0.1:{server.sip_port}", "-rsa", f"127.0.0.1:{path.port}", "-s", "2001",
                                                       "-r", 50, "-m", count, "-l", 15000], free_port("udp")).finish(count / 50 + 60)
            finally:
                path.stop()
            share = result["good"] / count
            # 200 calls cannot tell 99.9 %, and a busy machine makes SIPp late.
            goal = min(goal, 0.97) if arguments.quick else goal
            checks.check(share >= goal, f"{loss:.0%} loss: {result['good']} of {count} calls good, {result['retransmissions']} sent again")
            told.append(f"{loss:.0%} loss: {result['good']} of {count} calls good ({path.lost} of {path.lost + path.passed} datagrams lost)")
        gone = lib.eventually(70, lambda: server.metric("ringfort_calls") == 0, 0.5)
        checks.check(gone, "no call is left")
        common.figure("loss", "; ".join(told))
    finally:
        called.stop()
        server.stop()


lib.run("loss", body, [common.QUICK, ("--calls", int, 1000, "calls at each loss")])
