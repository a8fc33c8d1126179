"""One appliance with its far ends and what stands there: long calls, registrations."""

import os
import resource

import lib
from processes import Process, free_port
from rows import servers
from rows.load import Loopback, answering, ringload

LOAD, STANDING, AUDIO, USERS = "7000", "8000", "9000", "u"
FAR = {"load": "uas", "standing": "uas", "audio": "uas_audio"}
PORTS = (10000, 59999)
SOCKETS_A_CALL = 4
SPARE_DESCRIPTORS = 64  # of a shard's table: listeners and a few more


class Place:
    """Started with nothing standing. Each place has loopback addresses of its own, so that several run at once.
    `far` names the far ends that answer here, `relayed` how many calls its ports have to carry."""

    def __init__(self, bench, label, *, shards=1, mode="b2bua", standing_media="direct", users=0, relayed=0, far=(),
                 session_expires=1800, road=Loopback(), xdp=()):
        self.bench, self.label, self.road = bench, label, road
        self.number = bench.place_number()
        self.processes: list[Process] = []
        self.calls = self.registrations = 0
        ports = {name: free_port("udp") for name in FAR if name not in far}
        for name in far:
            process, ports[name] = answering(bench, FAR[name], "-aa", "--rtp-ports", "10000-29999", *self.media_at(200), road=road)
            self.processes.append(process)
        self.far_port = ports["load"]
        routes = [("7", "load", mode, "relay" if mode == "b2bua" else "direct"), ("8", "standing", "b2bua", standing_media),
                  ("9", "audio", "b2bua", "relay")]
        addresses = -(-max(relayed, 1) * SOCKETS_A_CALL // (PORTS[1] - PORTS[0])) + 1
        media = [self.address(index + 1) for index in range(addresses)] if self.local() else [road.hub[0]]
        self.server = servers.ringfort(
            bench, shards=shards, users=[(f"{USERS}{index + 1}", "secret") for index in range(users)],
            trunks=[(name, f"udp:{road.addresses[1]}:{port}") for name, port in ports.items()],
            routes=[{"match": f"^{first}000$", "to": [f"trunk:{to}"], "mode": how, "media": media, "auth": "open"}
                    for first, to, how, media in routes],
            ports=f"{PORTS[0]}-{PORTS[1]}", media_addresses=media, address=road.hub[0], xdp=xdp,
            # Silent calls stand for the whole run; the appliance looks for silence all the same.
            silence_seconds=86400, session_expires=session_expires, limits={"calls": 50000, "registrations": 500000},
            extra='[local]\nmode = "proxy"\n')

    def address(self, last):
        return f"127.1.{self.number}.{last}"

    def ringload(self, name, *words):
        argv = [ringload(self.bench), *words, "--shards", 1, "-aa", "--quiet", *self.road.words(0)]
        return Process(self.road.inside(0, argv), self.log(name))

    def local(self):
        """Whether all is on loopback, where there are addresses enough."""
        return isinstance(self.road, Loopback)

    def media_at(self, last):
        """Where a generator's audio is."""
        return ["-mi", self.address(last)] if self.local() else []

    def log(self, name):
        return os.path.join(self.bench.folder, f"place-{self.number}-{name}.out")

    def target(self):
        return f"{self.road.hub[0]}:{self.server.sip_port}"

    def cpu_ns(self):
        return self.server.process.cpu_ns()

    def stand_calls(self, count, rate=1000):
        """Long calls without audio; raises when fewer stand than asked for."""
        holder = self.ringload("standing", self.target(), "-s", STANDING, "-d", "86400s", "-m", count, "-l", count, "-r", rate)
        self.processes.append(holder)
        lib.eventually(count / rate * 2 + 20, lambda: self.standing_calls() >= count or not holder.running(), 0.5)
        self.calls = count
        self.check()

    def stand_registrations(self, count, first, rate=3000):
        """Users from number `first` on, reached at the far end; raises when fewer are bound than asked for."""
        scenario = self.bench.registering(self.far_port)
        load = self.ringload("registering", self.target(), "-sf", scenario, "--register", count, "--user-prefix", USERS,
                             "--user-first", first, "-r", rate, "-l", 20000)
        try:
            code = load.wait(count / rate * 2 + 30)
        finally:
            load.stop(3)
        if code != 0:
            raise RuntimeError(f"{self.label}: registering {count} users ended with code {code}: {load.tail()}")
        self.registrations += count
        lib.eventually(5, lambda: self.server.metric("ringfort_registrations") == self.registrations)
        self.check()

    def standing_calls(self):
        return int(self.server.metric("ringfort_calls", state="answered") or 0)

    def wakeups(self):
        """How often the packet loops have woken: what shares a wake-up shares its price."""
        return self.server.metric("ringfort_wakeups_total")

    def check(self):
        """Raises when less stands here than was set up."""
        calls, bound = self.standing_calls(), int(self.server.metric("ringfort_registrations") or 0)
        if calls < self.calls or bound < self.registrations:
            logs = "\n".join(process.tail(8) for process in [self.server.process, *self.processes[-2:]])
            raise RuntimeError(f"{self.label}: {calls} calls and {bound} registrations stand, not {self.calls} and "
                               f"{self.registrations}; calls that ended: {self.results()}\n{logs}")

    def results(self):
        """How calls ended here."""
        _, text = self.server.http("GET", "/metrics")
        counts = {}
        for line in text.splitlines():
            if line.startswith("ringfort_calls_total{"):
                result, number = line.split('result="')[1].split('"')[0], int(float(line.split()[-1]))
                counts[result] = counts.get(result, 0) + number
        return ", ".join(f"{number} {result}" for result, number in counts.items() if number) or "none ended"

    def stop(self):
        """Standing calls are not hung up: their ends go away first."""
        for process in self.processes:
            process.kill9()
        self.server.stop()


def shards_for(relayed):
    """How many shards it takes: the limit of open files bounds each shard's media sockets."""
    table = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if table == resource.RLIM_INFINITY:
        return 1
    carried = (table - SPARE_DESCRIPTORS) // SOCKETS_A_CALL * 0.9  # calls are spread by their Call-ID, not evenly
    return max(1, -int(-relayed // carried))
