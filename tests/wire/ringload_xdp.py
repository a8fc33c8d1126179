#!/usr/bin/env python3
"""Audio past the kernel's IP stack (AF_XDP): two generators, each at its end of a pair of virtual interfaces in network
namespaces of the test's own, then the appliance between them. Needs root; left out elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time

import lib
from netns import Box, Impossible, Pair
from processes import Process

CALLS, SECONDS = 60, 3


def body(checks, arguments, folder):
    ringload = os.path.join(os.path.dirname(os.path.abspath(arguments.ringfort)), "ringload")
    if not os.path.exists(ringload):
        lib.skip("ringload_xdp", f"there is no {ringload}")
    try:
        with Pair() as pair:
            for far_express, name in ((True, "both ends"), (False, "the caller's end")):
                calls(checks, ringload, folder, pair, far_express, name)
            refusal(checks, ringload, folder, pair)
        with Box() as box:
            relayed(checks, arguments.ringfort, ringload, folder, box)
    except Impossible as error:
        lib.skip("ringload_xdp", f"no network namespaces can be made here: {error}")


def calls(checks, ringload, folder, pair, far_express, name):
    express = [["--xdp", device] for device in pair.devices]
    results = [os.path.join(folder, f"{end}-{far_express}.json") for end in ("near", "far")]
    common = ["--shards", 1, "--quiet", "--i-own-the-target"]
    far = Process(pair.inside(1, [ringload, "-sn", "uas_audio", "-i", pair.addresses[1], "-p", 5060, *common,
                                  "--json", results[1], *(express[1] if far_express else [])]),
                  os.path.join(folder, "far.out"), cwd=folder)
    time.sleep(0.7)
    near = Process(pair.inside(0, [ringload, "-sn", "uac_audio", f"{pair.addresses[1]}:5060", "-i", pair.addresses[0], "-r", 50,
                                   "-m", CALLS, "-l", CALLS, "-d", SECONDS * 1000, *common, "--json", results[0], *express[0]]),
                   os.path.join(folder, "near.out"), cwd=folder)
    code = near.wait(30)
    near.stop(3)
    far.stop(8, signal.SIGINT)
    if code != 0:
        checks.check(False, f"{name}: exit code {code}: {near_text(near)}")
        return
    found = [json.load(open(path, encoding="utf-8")) for path in results]
    due = CALLS * SECONDS * 50
    checks.check(found[0]["calls"]["successful"] == CALLS, f"{name}: {CALLS} calls: {found[0]['calls']['successful']} good")
    for end, one in zip(("caller", "far end"), found):
        audio = one["audio"]
        whole = audio["lost"] == audio["crosstalk"] == audio["damaged"] == audio["duplicates"] == audio["silent"] == 0
        checks.check(whole and audio["received"] > due * 0.95, f"{name}: the {end} heard {audio['received']} packets, "
                     f"{audio['lost']} lost, {audio['crosstalk']} of another call, {audio['damaged']} damaged")
    for one, express in zip(found, (True, far_express)):
        xdp, audio = one["xdp"], one["audio"]
        # The first packet of a stream leaves by its socket, until the far end was heard.
        good = xdp["received"] >= audio["received"] and xdp["sent"] >= audio["sent"] - 3 * CALLS and xdp["dropped"] == 0
        checks.check(good if express else xdp["received"] + xdp["sent"] == 0,
                     f"{name}: by AF_XDP {xdp['received']} of {audio['received']} heard, {xdp['sent']} of {audio['sent']} sent")
    delay = found[0]["audio"]["times_us"]["rtp_delay"]["p50"]
    checks.check(0 < delay < 20_000, f"{name}: one-way delay p50 {delay} us, by the program's own stamps")


class Between(lib.Ringfort):
    """The appliance in the box between both ends."""

    def __init__(self, box, *arguments, **options):
        super().__init__(*arguments, **options)
        self.box = box

    def arguments(self):
        return self.box.inside(2, super().arguments())

    def counted(self, name):
        """Sum of a counter; the page is read in the appliance's namespace."""
        program = "import sys, urllib.request as u; r = u.Request(sys.argv[1]); r.add_header('Authorization', 'Bearer ' + sys.argv[2]); " \
                  "print(u.urlopen(r, timeout=5).read().decode())"
        done = subprocess.run(self.box.inside(2, [sys.executable, "-c", program, f"http://127.0.0.1:{self.http_port}/metrics", self.token()]),
                              capture_output=True, text=True, timeout=20, check=True)
        return sum(float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith(f"{name}_total"))


def relayed(checks, ringfort, ringload, folder, box):
    """Through the appliance, whose media goes past the IP stack at both of its devices."""
    server = Between(box, ringfort, folder, address=box.hub[0], media_addresses=[box.hub[0]], xdp=box.hub_devices(), shards=1,
                     trunks=[("far", f"udp:{box.addresses[1]}:5060")],
                     routes=[{"match": "^7000$", "to": ["trunk:far"], "mode": "b2bua", "media": "relay", "auth": "open"}])
    server.start()
    common = ["--shards", 1, "--quiet", "--i-own-the-target"]
    far = Process(box.inside(1, [ringload, "-sn", "uas_audio", "-i", box.addresses[1], "-p", 5060, *common]),
                  os.path.join(folder, "relayed-far.out"), cwd=folder)
    try:
        time.sleep(0.7)
        result = os.path.join(folder, "relayed.json")
        near = Process(box.inside(0, [ringload, "-sn", "uac_audio", "-s", "7000", f"{box.hub[0]}:{server.sip_port}", "-i", box.addresses[0],
                                      "-r", 50, "-m", CALLS, "-l", CALLS, "-d", SECONDS * 1000, *common, "--json", result]),
                       os.path.join(folder, "relayed-near.out"), cwd=folder)
        code = near.wait(30)
        near.stop(3)
        found = json.load(open(result, encoding="utf-8")) if code == 0 else {"calls": {}, "audio": {}}
        audio = found["audio"]
        checks.check(found["calls"].get("successful") == CALLS and audio["lost"] == audio["crosstalk"] == audio["damaged"] == 0
                     and audio["received"] > CALLS * SECONDS * 50 * 0.95,
                     f"through the appliance: exit code {code}, {found['calls'].get('successful')} calls good, {audio.get('received')} packets "
                     f"heard, {audio.get('lost')} lost, {audio.get('crosstalk')} of another call")
        lib.eventually(5, lambda: server.counted("ringfort_xdp_packets_out") > 0)
        came, left, dropped = (server.counted(f"ringfort_xdp_{name}") for name in ("packets_in", "packets_out", "dropped"))
        due = CALLS * SECONDS * 50 * 2
        checks.check(came > due * 0.95 and came >= left > came - 4 * CALLS and dropped == 0,
                     f"the appliance: by AF_XDP {came:.0f} of about {due} in, {left:.0f} out, {dropped:.0f} dropped")
    finally:
        far.stop(8, signal.SIGINT)
        server.stop()


def near_text(process):
    with open(process.log_path, encoding="utf-8", errors="replace") as file:
        return file.read()[-300:]


def refusal(checks, ringload, folder, pair):
    process = Process(pair.inside(0, [ringload, "-sn", "uac_audio", "127.0.0.1:5060", "-m", 1, "--xdp", "lo"]),
                      os.path.join(folder, "refused.out"), cwd=folder)
    code = process.wait(10)
    process.stop(1)
    text = near_text(process)
    checks.check(code not in (0, None) and "sysctl -w net.ipv4.conf.lo.route_localnet=1" in text,
                 f"at lo without the settings: exit code {code}, says what to set")


lib.run("ringload_xdp", body)
