#!/usr/bin/env python3
"""One shard's thread is held by ptrace, then the whole process by SIGSTOP: the other shard goes on, calls outlive it."""

import ctypes
import os
import signal
import time

import common
import lib
import sipp
import through
from processes import free_port, options

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL: a thread of another process is waited for only so


def threads(pid):
    """Thread id by name. SIGSTOP always stops a whole process: a single thread can only be held by a tracer."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
            found.setdefault(file.read().strip(), int(task))
    return found


class Held:
    """Holds one thread for the length of a `with`; the kernel lets it go, too, when this process ends."""

    def __init__(self, thread):
        self.thread, self.libc = thread, ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def __enter__(self):
        self.ptrace(PTRACE_SEIZE)
        self.ptrace(PTRACE_INTERRUPT)
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.ptrace(PTRACE_DETACH)


def answered(port, count):
    """How many OPTIONS from as many ports are answered: the kernel spreads the ports over the shards' sockets."""
    socks = [common.udp(0.02) for _ in range(count)]
    good = 0
    for number, sock in enumerate(socks):
        sock.sendto(options(port, sock.getsockname()[1], f"held-{number}").encode(), ("127.0.0.1", port))
    for sock in socks:
        with sock:
            try:
                good += sock.recv(4096).startswith(b"SIP/2.0 200")
            except OSError:
                pass
    return good


def body(checks, arguments, folder):
    uas = free_port("udp")
    server = through.start(arguments, folder, "b2bua", "relay", uas)
    called = sipp.uas(folder, uas)
    try:
        names = threads(server.process.pid)
        victim = next((names[name] for name in sorted(names) if "shard" in name and name.rstrip().endswith("1")), None)
        if victim is None:
            raise RuntimeError(f"no thread of shard 1 among {sorted(names)}")
        load = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 50, 400, name="load", pause_ms=6000)
        time.sleep(4)
        begin, seen = time.monotonic(), None
        try:
            with Held(victim):
                while time.monotonic() < begin + 5:
                    status, text = server.http("GET", "/api/health")
                    if seen is None and status == 503:
                        seen = time.monotonic() - begin
                    time.sleep(0.1)
                up = server.metric("ringfort_shard_up", shard=1)
                went_on = answered(server.sip_port, 64)
        except PermissionError as error:
            lib.skip("stopped_thread", f"ptrace is not permitted here ({error})")
        checks.check(seen is not None, f"health says 503 after {seen} s: {text[:160]}; ringfort_shard_up {up}")
        checks.check(went_on > 0, f"{went_on} of 64 callers, each on a port of its own, are answered by shard 0 meanwhile")
        well = lib.eventually(5, lambda: server.http("GET", "/api/health")[0] == 200)
        checks.check(well, "health is well again after the thread goes on")
        result = load.finish(60)
        checks.check(result["good"] + result["failed"] == 400 and result["failed"] <= 40,
                     f"{result['good']} of 400 calls good over 5 s of a held shard, {result['failed']} failed")
        load = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", 50, 300, name="whole", pause_ms=4000)
        time.sleep(3)
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(server.process.pid, signal.SIGCONT)
        whole = load.finish(60)
        checks.check(whole["good"] == 300, f"{whole['good']} of 300 calls good over 3 s of SIGSTOP")
        restarts = server.metric("ringfort_shard_restarts_total")
        checks.check(not restarts, f"{restarts} restarts")
        after = f"{seen:.1f} s" if seen is not None else "never"
        common.figure("stopped_thread", f"shard 1 held 5 s: health 503 after {after}, {went_on} of 64 new requests answered by the other, "
                      f"{result['failed']} of 400 calls lost; process stopped 3 s: {300 - whole['good']} of 300 calls lost")
    finally:
        called.stop()
        if server.process.running():
            os.kill(server.process.pid, signal.SIGCONT)
        server.stop()


lib.run("stopped_thread", body, [common.QUICK])
