"""Processes that a test or a measurement starts: bounded start, end by pid, CPU time and memory."""

import os
import select
import signal
import socket
import subprocess
import time


class Process:
    """One child process, in its own session, so that its whole tree can be ended."""

    def __init__(self, argv, log, env=None, cwd=None, stdin=subprocess.DEVNULL, stdout=None):
        self.argv = [str(word) for word in argv]
        self.log_path = str(log)
        self.log = open(log, "ab")
        self.child = subprocess.Popen(
            self.argv, stdin=stdin, stdout=stdout or self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, **(env or {})}, cwd=cwd)
        self.pid = self.child.pid

    def running(self):
        return self.child.poll() is None

    def wait(self, seconds):
        """Exit code, or None when it is still running after that time."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds=15, first=signal.SIGTERM):
        """Ends the tree: the polite signal, then SIGKILL. Returns the exit code."""
        code = self.child.poll()
        if code is None:
            self._signal(first)
            code = self.wait(seconds)
            if code is None:
                self._signal(signal.SIGKILL)
                code = self.wait(10)
        self.log.close()
        return code

    def kill9(self):
        """As the kernel would do it: no warning."""
        self._signal(signal.SIGKILL)
        self.wait(10)
        self.log.close()

    def _signal(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def cpu_ns(self):
        return cpu_ns(self.pid)

    def rss_kb(self):
        return rss_kb(self.pid)

    def tail(self, lines=15):
        with open(self.log_path, "rb") as log:
            return b"\n".join(log.read().splitlines()[-lines:]).decode(errors="replace")


def tree(root):
    """The process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, at = [root], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def cpu_ns(root):
    """Nanoseconds on a CPU (schedstat), all threads of the tree."""
    total = 0
    for pid in tree(root):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                    total += int(stat.read().split()[0])
        except OSError:
            continue
    return total


def rss_kb(root):
    """Anonymous memory of the tree, plus shared memory once (a forked server's pool)."""
    private, shared = 0, 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/status") as status:
                fields = dict(line.split(":", 1) for line in status if ":" in line)
        except OSError:
            continue
        private += int(fields.get("RssAnon", "0").split()[0])
        shared = max(shared, int(fields.get("RssShmem", "0").split()[0]))
    return private + shared


def free_port(kind="udp", first=6000, last=9900, pair=False):
    """A port that can be bound now (with `pair` the next one too), outside the ephemeral range."""
    types = {"udp": [socket.SOCK_DGRAM], "tcp": [socket.SOCK_STREAM], "both": [socket.SOCK_DGRAM, socket.SOCK_STREAM]}
    start = first + (os.getpid() * 7 + free_port.calls * 10) % (last - first - 20)
    free_port.calls += 1
    for step in range(last - first):
        port = first + (start - first + step) % (last - first)
        if all(can_bind(port + extra, t) for t in types[kind] for extra in ([0, 1] if pair else [0])):
            return port
    raise RuntimeError("no free port")


free_port.calls = 0


def can_bind(port, kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def read_line(stream, prefix, seconds, alive=lambda: True):
    """Reads a pipe until a line starts with `prefix`; None when it does not come in time."""
    end, pending = time.monotonic() + seconds, b""
    fd = stream.fileno()
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.1)
        if not ready:
            if not alive():
                return None
            continue
        chunk = os.read(fd, 65536)
        if not chunk:
            return None
        pending += chunk
        *lines, pending = pending.split(b"\n")
        for line in lines:
            if line.startswith(prefix.encode()):
                return line.decode(errors="replace")
    return None


def wait_sip(port, seconds=10):
    """True once an OPTIONS to 127.0.0.1:port is answered by anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        local = probe.getsockname()[1]
        probe.settimeout(0.2)
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            count += 1
            probe.sendto(options(port, local, f"probe-{os.getpid()}-{count}").encode(), ("127.0.0.1", port))
            try:
                if probe.recv(4096).startswith(b"SIP/2.0"):
                    return True
            except OSError:
                time.sleep(0.05)
    return False


def options(port, local, mark):
    return (f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{local};rport;branch=z9hG4bK{mark}\r\n"
            f"From: <sip:probe@127.0.0.1>;tag={mark}\r\nTo: <sip:127.0.0.1:{port}>\r\nCall-ID: {mark}\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
