"""Network namespaces of the test's own, joined by pairs of virtual interfaces; nothing leaves them."""

import os
import subprocess


class Impossible(Exception):
    """No namespaces can be made here."""


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Net:
    """`with` it; `inside(end, argv)` is the command line that runs at an end: 0 calls, 1 is called."""

    serial = 0

    def __init__(self, names):
        Net.serial += 1
        tag = f"{os.getpid()}-{Net.serial}"
        self.names = [f"ringfort-{name}-{tag}" for name in names]

    def build(self):
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")

    def join(self, *ends):
        """Two ends, each with its namespace, device and address."""
        (name, device, _), (other, peer, _) = ends
        ip("-n", name, "link", "add", device, "type", "veth", "peer", "name", peer, "netns", other)
        for name, device, address in ends:
            ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")

    def __enter__(self):
        try:
            self.build()
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise Impossible(getattr(error, "stderr", b"") or error) from error
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def inside(self, end, argv):
        return ["ip", "netns", "exec", self.names[end], *argv]


class Pair(Net):
    """Two ends, joined."""

    addresses = ("10.99.0.1", "10.99.0.2")

    def __init__(self):
        super().__init__(("near", "far"))
        self.devices = [f"rf{end}{os.getpid() % 1000000}" for end in "nf"]

    def build(self):
        super().build()
        self.join(*zip(self.names, self.devices, self.addresses))


class Box(Net):
    """Two ends and a box between them, which has a device to each."""

    addresses, hub = ("10.99.1.2", "10.99.2.2"), ("10.99.1.1", "10.99.2.1")

    def __init__(self):
        super().__init__(("near", "far", "box"))
        self.devices = [f"rf{end}{os.getpid() % 1000000}" for end in "nf"]

    def hub_devices(self):
        return [f"{device}b" for device in self.devices]

    def build(self):
        super().build()
        for name, device, address, port, inner in zip(self.names, self.devices, self.addresses, self.hub_devices(), self.hub):
            self.join((name, device, address), (self.names[2], port, inner))
        # The box has one address for both.
        ip("-n", self.names[1], "route", "add", "default", "via", self.hub[1])
