"""SIPp: started, bounded and counted. Its own `-timeout` does not always end it, so we do."""

import csv
import os
import time

from processes import Process

COLUMNS = {"good": "SuccessfulCall(C)", "failed": "FailedCall(C)", "retransmissions": "Retransmissions(C)",
           "created": "TotalCallCreated"}


class Sipp:
    """One SIPp, as caller or called side, with its statistics in a file."""

    def __init__(self, folder, name, arguments, port):
        self.stat = os.path.join(folder, f"{name}.csv")
        if os.path.exists(self.stat):
            os.unlink(self.stat)
        argv = ["sipp", *arguments, "-i", "127.0.0.1", "-p", port, "-nostdin", "-trace_stat", "-stf", self.stat,
                "-fd", "1", "-trace_err", "-error_file", os.path.join(folder, f"{name}.errors")]
        self.begin = time.monotonic()
        with open(os.path.join(folder, f"{name}.out"), "wb"):
            pass
        self.process = Process(argv, os.path.join(folder, f"{name}.out"), env={"TERM": "dumb"}, cwd=folder)

    def finish(self, seconds):
        """Waits at most so long. Returns the counts and the exit code (None: had to be ended)."""
        code = self.process.wait(seconds)
        elapsed = time.monotonic() - self.begin
        self.process.stop(3)
        return {**self.counts(), "code": code, "seconds": elapsed}

    def stop(self):
        self.process.stop(3)

    def counts(self):
        try:
            with open(self.stat, newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        except OSError:
            rows = []
        last = rows[-1] if rows else {}
        return {key: int(last.get(column) or 0) for key, column in COLUMNS.items()}


def uas(folder, port, name="uas"):
    """The built-in called side."""
    return Sipp(folder, name, ["-sn", "uas"], port)


def uac(folder, server_port, port, number, rate, calls, name="uac", pause_ms=0):
    """The built-in caller: `calls` calls at `rate` calls/s to `number` at the server."""
    return Sipp(folder, name, [
        "-sn", "uac", f"127.0.0.1:{server_port}", "-s", number, "-r", rate, "-m", calls, "-l", 15000,
        "-d", pause_ms], port)


def register(folder, server_port, port, csv_file, rate, calls, scenario, name="register"):
    """One registration with digest (two REGISTERs) for each line of the file."""
    return Sipp(folder, name, [
        f"127.0.0.1:{server_port}", "-sf", scenario, "-inf", csv_file, "-r", rate, "-m", calls, "-l", 5000], port)


def users_file(path, count, first=0):
    """Users u000000 ..., password pw-<name>; returns [(name, password)]."""
    users = [(f"u{index:06}", f"pw-u{index:06}") for index in range(first, first + count)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("SEQUENTIAL\n")
        for name, password in users:
            file.write(f"{name};[authentication username={name} password={password}];\n")
    return users
