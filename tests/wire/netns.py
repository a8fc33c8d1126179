"""Two network namespaces of the test's own, joined by a pair of virtual interfaces; nothing leaves them."""

import os
import subprocess

ADDRESSES = ("10.99.0.1", "10.99.0.2")


class Impossible(Exception):
    """No namespaces can be made here."""


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Pair:
    """`with Pair() as pair:`; pair.inside(0, argv) is the command line that runs in the first namespace."""

    serial = 0

    def __init__(self):
        Pair.serial += 1
        tag = f"{os.getpid()}-{Pair.serial}"
        self.names = [f"ringfort-{end}-{tag}" for end in ("near", "far")]
        self.devices = [f"rf{end}{os.getpid() % 1000000}" for end in "nf"]
        self.addresses = ADDRESSES

    def __enter__(self):
        try:
            for name in self.names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self.names[0], "link", "add", self.devices[0], "type", "veth", "peer", "name", self.devices[1],
               "netns", self.names[1])
            for name, device, address in zip(self.names, self.devices, self.addresses):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
                ip("-n", name, "link", "set", device, "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise Impossible(getattr(error, "stderr", b"") or error) from error
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def inside(self, end, argv):
        return ["ip", "netns", "exec", self.names[end], *argv]
