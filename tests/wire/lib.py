"""What all wire tests share: the appliance on free ports, its HTTP interface, PASS and FAIL lines."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from processes import Process, free_port, read_line

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Ringfort:
    """A running appliance with a configuration of its own below a temporary folder."""

    def __init__(self, binary, folder, users=(), routes=(), trunks=(), digest=("md5",), extra="", shards=2,
                 ports="10000-29999", sip_port=None, limits=None, fault_injection=False,
                 domains=("127.0.0.1", "localhost"), media_addresses=("127.0.0.1",), silence_seconds=60, session_expires=1800,
                 address="127.0.0.1", xdp=()):
        self.binary, self.folder = binary, folder
        self.sip_port = sip_port or free_port("both")
        self.http_port = free_port("tcp")
        self.data = os.path.join(folder, "data")
        self.config = os.path.join(folder, "ringfort.toml")
        self.token_file = os.path.join(folder, "token")
        self.process = None
        limits = {"calls": 20000, "registrations": 200000, "drain_seconds": 1, **(limits or {})}
        lines = [
            "[sip]",
            f'listen = ["udp:{address}:{self.sip_port}", "tcp:{address}:{self.sip_port}"]',
            f"domains = {json.dumps(list(domains))}",
            f"digest = {json.dumps(list(digest))}", f"session_expires = {session_expires}",
            "[media]", f"address = {json.dumps(list(media_addresses))}", f'ports = "{ports}"',
            f"timeout_seconds = {silence_seconds}", *([f"xdp = {json.dumps(list(xdp))}"] if xdp else []),
            "[http]", f'listen = "127.0.0.1:{self.http_port}"', f'token_file = "{self.token_file}"',
            "[shards]", f"count = {shards}",
            "[limits]", *(f"{key} = {value}" for key, value in limits.items()),
        ]
        if fault_injection:
            lines += ["[testing]", "fault_injection = true"]
        lines.append(extra)
        for name, password in users:
            lines += ["[[user]]", f'name = "{name}"', f'password = "{password}"']
        for name, target in trunks:
            lines += ["[[trunk]]", f'name = "{name}"', f'targets = ["{target}"]', 'trusted = ["127.0.0.1/32"]']
        for route in routes:
            lines += ["[[route]]", *(f"{key} = {json.dumps(value)}" for key, value in route.items())]
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def arguments(self):
        return [self.binary, "run", "--config", self.config, "--data", self.data]

    def start(self, seconds=30):
        """Starts it; returns the seconds to the ready line. Raises with the log's end if it does not come."""
        log = os.path.join(self.folder, "ringfort.log")
        begin = time.monotonic()
        self.process = Process(self.arguments(), log,
                               env={"RUST_LOG": os.environ.get("RUST_LOG", "warn")}, stdout=subprocess.PIPE)
        line = read_line(self.process.child.stdout, "ready ", seconds, self.process.running)
        took = time.monotonic() - begin
        if line is None:
            code = self.process.stop(2)
            raise RuntimeError(f"no ready line after {took:.1f} s, exit code {code}; log:\n{self.process.tail()}")
        self.ready = line
        return took

    def stop(self):
        """SIGTERM; returns the exit code."""
        return self.process.stop(20) if self.process else None

    def kill9(self):
        self.process.kill9()

    def token(self):
        try:
            with open(self.token_file, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            return ""

    def http(self, method, path, body=None, seconds=10):
        """Status and text of a REST request, with the access token."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token()}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def metric(self, name, **labels):
        """Sum of a metric over all its series that have these labels."""
        _, text = self.http("GET", "/metrics")
        total, found = 0.0, False
        for line in text.splitlines():
            if line.startswith("#") or not line.startswith(name):
                continue
            rest = line[len(name):]
            if rest[:1] not in ("{", " "):
                continue
            if all(f'{key}="{value}"' in rest for key, value in labels.items()):
                total, found = total + float(rest.split()[-1]), True
        return total if found else None


    def settled(self, name, value, seconds=3, **labels):
        """The metric, waited for until it has that value: shards publish their figures in turn."""
        eventually(seconds, lambda: self.metric(name, **labels) == value)
        return self.metric(name, **labels)


class Checks:
    """Prints a PASS or FAIL line for each check and remembers the verdict."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'PASS' if good else 'FAIL'} {self.name}: {what}", flush=True)
        return good

    def exit(self):
        sys.exit(1 if self.failed or not self.passed else 0)


def run(name, body, options=None):
    """A test's main: reads --ringfort, makes a folder, runs `body(checks, arguments, folder)`.

    Exit code 0 all passed, 1 something failed, 77 skipped.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=f"Example:\n  {sys.argv[0]} --ringfort target/release/ringfort")
    parser.add_argument("--ringfort", default=os.path.join(ROOT, "target", "release", "ringfort"), help="the binary")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with the logs")
    for flag, kind, default, text in options or []:
        parser.add_argument(flag, type=kind, default=default, help=f"{text} (default {default})")
    arguments = parser.parse_args()
    checks = Checks(name)
    folder = tempfile.mkdtemp(prefix=f"ringfort-{name}-")
    try:
        body(checks, arguments, folder)
    except Exception as error:  # a broken run is a failed test, with its reason
        checks.check(False, f"{type(error).__name__}: {error}")
    finally:
        if arguments.keep or checks.failed:
            print(f"     {name}: logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    checks.exit()


def skip(name, why):
    print(f"SKIP {name}: {why}")
    sys.exit(77)


def eventually(seconds, condition, step=0.1):
    """True as soon as the condition holds, False when it does not within that time."""
    end = time.monotonic() + seconds
    while True:
        if condition():
            return True
        if time.monotonic() > end:
            return False
        time.sleep(step)
