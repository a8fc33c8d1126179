#!/usr/bin/env python3
"""ringload's audio past the kernel's IP stack (AF_XDP): two generators, each at its end of a pair of virtual
interfaces in network namespaces of the test's own. Needs root; left out elsewhere."""

import json
import os
import signal
import time

import lib
from netns import Impossible, Pair
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
