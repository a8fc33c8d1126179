"""The servers under measurement, all started the same way: on loopback, free ports, ended by pid."""

import json
import os
import subprocess

import lib
from processes import Process, free_port, read_line, wait_sip

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(HERE), "peers")
SCENARIOS = os.path.join(os.path.dirname(HERE), "scenarios")
MODULES = next((path for path in ("/usr/lib/x86_64-linux-gnu/kamailio/modules/",
                                  "/usr/lib/aarch64-linux-gnu/kamailio/modules/") if os.path.isdir(path)), "")


class Kamailio:
    """Kamailio with one of our configurations."""

    name = "kamailio"

    def __init__(self, bench, config, next_port=0, children=None, allocator="fm"):
        self.port = free_port("udp")
        self.folder = bench.folder
        with open(os.path.join(PEERS, f"kamailio-{config}.cfg"), encoding="utf-8") as file:
            text = file.read()
        marks = {"PORT": self.port, "NEXT": next_port, "CHILDREN": children or bench.children, "MODULES": MODULES}
        for mark, value in marks.items():
            text = text.replace(f"@{mark}@", str(value))
        path = os.path.join(bench.folder, f"kamailio-{config}.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        memory = ["-x", allocator, "-X", allocator] if allocator else []
        self.process = Process(["kamailio", "-DD", "-E", *memory, "-m", "2048", "-M", "64", "-f", path,
                                "-P", os.path.join(bench.folder, f"kamailio-{self.port}.pid")],
                               os.path.join(bench.folder, "kamailio.log"))
        if not wait_sip(self.port):
            self.process.stop(3)
            raise RuntimeError(f"kamailio does not answer:\n{self.process.tail()}")

    def stop(self):
        self.process.stop(10)


class Rtpengine:
    """rtpengine in user space."""

    name = "rtpengine"

    def __init__(self, bench, threads=2):
        self.port = free_port("udp")
        self.process = Process([
            "rtpengine", "--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{self.port}",
            "--port-min=10000", "--port-max=29999", f"--num-threads={threads}", "-f", "-E", "-L", "3", "--config-file=none",
            f"--pidfile={bench.folder}/rtpengine.pid"], os.path.join(bench.folder, "rtpengine.log"))
        if lib.eventually(1, lambda: not self.process.running()):
            raise RuntimeError(f"rtpengine ended:\n{self.process.tail()}")

    def stop(self):
        self.process.stop(10)


class Floor:
    """The bare relay of ours: no checks, no signalling."""

    name = "floor"

    def __init__(self, bench, calls, backend):
        self.pairs = os.path.join(bench.folder, "floor.pairs")
        self.process = Process([os.path.join(bench.tools, "floor"), "serve", "--backend", backend, "--calls", calls,
                                "--pairs", self.pairs], os.path.join(bench.folder, "floor.log"), stdout=subprocess.PIPE)
        if read_line(self.process.child.stdout, "ready", 20, self.process.running) is None:
            self.process.stop(1)
            raise RuntimeError(f"the floor ({backend}) did not start:\n{self.process.tail()}")

    def stop(self):
        self.process.stop(3)


def ringfort(bench, **options):
    """A started appliance in a folder of its own."""
    bench.serial += 1
    folder = os.path.join(bench.folder, f"ringfort-{bench.serial}")
    os.makedirs(folder)
    server = lib.Ringfort(bench.ringfort, folder, **options)
    server.name = "ringfort"
    server.start()
    return server


def rtpload(bench, setup, calls, pid, *more):
    """Runs the RTP load; returns its JSON, with `good` from its exit code."""
    argv = [os.path.join(bench.tools, "rtpload"), "--setup", setup, "--calls", str(calls), "--seconds",
            str(bench.seconds), "--setup-rate", "250", "--server-pid", str(pid), *map(str, more)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120 + calls / 50, check=False)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"rtpload: {done.stderr.strip()}")
    return {**json.loads(done.stdout), "good": done.returncode == 0}
