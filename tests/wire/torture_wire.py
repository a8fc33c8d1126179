#!/usr/bin/env python3
"""RFC 4475 over UDP and over TCP: after each message the listener still serves, and the status fits the verdict.

The messages are not part of this repository: RINGFORT_CORPUS names a folder with rfc4475/*.dat and
rfc4475/verdicts.tsv (columns file, section, start, class, parser, server_must, rfc_strength).
"""

import csv
import os
import re
import select
import socket
import time

import lib
import phone
from processes import options

SOURCE = "127.0.0.77"  # all answers go to this address, at the port in the message's Via
# What policy may say before the message's own oddity is looked at.
POLICY = {401, 403, 404, 405, 407, 408, 416, 420, 480, 481, 482, 483, 484, 488, 501, 502, 503}


def verdicts(folder):
    with open(os.path.join(folder, "verdicts.tsv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def fits(verdict, status):
    """Whether a status (0: none came) is right for this message."""
    named = {int(number) for number in re.findall(r"\b[2-6]\d\d\b", verdict["server_must"])}
    if verdict["start"].isdigit() or "drop the response" in verdict["server_must"] or not verdict["start"].strip():
        return status == 0
    if verdict["parser"] == "reject":
        return status in named if named else status >= 400
    if verdict["parser"] == "reject-or-fix":
        return status in named | POLICY | {0, 200, 400}
    return status in named | POLICY | {0, 200, 202, 489} and (status != 400 or 400 in named)


def via_port(octets):
    found = re.search(rb"(?im)^(?:v|via)\s*:\s*SIP\s*/\s*2\.0\s*/\s*\w+\s+[^;:,\s]+(?:\s*:\s*(\d+))?", octets)
    return int(found.group(1)) if found and found.group(1) else 5060


def body(checks, arguments, folder):
    corpus = os.path.join(os.environ.get("RINGFORT_CORPUS", os.path.join(lib.ROOT, "..", "shared", "corpus")), "rfc4475")
    if not os.path.isdir(corpus):
        lib.skip("torture_wire", "no RFC 4475 messages: set RINGFORT_CORPUS")
    server = lib.Ringfort(arguments.ringfort, folder, users=[("1001", "secret")],
                          domains=["127.0.0.1", "example.com", "example.net", "example.org"])
    server.start()
    probe = phone.udp()
    try:
        for index, verdict in enumerate(verdicts(corpus)):
            with open(os.path.join(corpus, verdict["file"]), "rb") as file:
                octets = file.read()
            status = send(octets, server.sip_port)
            alive = ask(probe, server.sip_port, index)
            shown = status or "no answer"
            checks.check(alive and fits(verdict, status),
                         f"{verdict['file']} ({verdict['section']}, {verdict['parser']}): {shown}"
                         f"{'' if alive else '; THE LISTENER IS DEAD'} [{verdict['server_must'][:70]}]")
        over_streams(checks, corpus, server.sip_port, probe)
        checks.check(server.process.running(), "the appliance runs")
        errors = server.metric("ringfort_sip_parse_errors_total") or 0
        checks.check(errors > 5, f"{errors:.0f} parse errors are counted")
    finally:
        code = server.stop()
    checks.check(code == 0, f"the appliance ends with 0 ({code})")


def over_streams(checks, corpus, server_port, probe):
    """Each message over TCP, whole and in two pieces: the same status each time, as over UDP but for
    messages whose end a stream cannot know."""
    for index, verdict in enumerate(verdicts(corpus)):
        with open(os.path.join(corpus, verdict["file"]), "rb") as file:
            octets = file.read()
        cuts = [0, 1, len(octets) // 3, octets.find(b"\r\n\r\n") + 2, len(octets) - 1]
        waits = verdict["file"] in ("clerr.dat", "baddn.dat")  # for octets that never come
        statuses = {stream(octets, cut, server_port) for cut in cuts}
        if verdict["file"] == "dblreq.dat" and statuses <= {401, 407}:
            # A stream's two requests have two homes: either may be answered first.
            statuses = {401}
        alive = ask(probe, server_port, 1000 + index)
        good = statuses == {0} if waits else len(statuses) == 1 and (fits(verdict, max(statuses)) or 400 in statuses)
        checks.check(alive and good, f"{verdict['file']} over TCP, cut at {cuts}: {sorted(statuses)}"
                                     f"{'' if alive else '; THE LISTENER IS DEAD'}")


def stream(octets, cut, server_port, seconds=0.15):
    """The first final status on a connection that the octets come over in two pieces; 0: none."""
    with socket.create_connection(("127.0.0.1", server_port), timeout=5) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = b""
        try:
            made.sendall(octets[:cut])
            time.sleep(0.002)
            made.sendall(octets[cut:])
            while select.select([made], [], [], seconds)[0] and (more := made.recv(65536)):
                heard += more
                finals = [int(code) for code in re.findall(rb"(?m)^SIP/2\.0 ([2-6]\d\d) ", heard)]
                if finals:
                    return finals[0]
        except OSError:
            pass  # closed by the server after octets that cannot be framed
    return 0


def send(octets, server_port, seconds=0.6):
    """The first final status that comes to the Via's port or to the port that it was sent from."""
    sockets = []
    try:
        for port in {via_port(octets), 0}:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((SOURCE, port))
            sockets.append(one)
        sender = next(one for one in sockets if one.getsockname()[1] == via_port(octets))
        sender.sendto(octets, ("127.0.0.1", server_port))
        while ready := select.select(sockets, [], [], seconds)[0]:
            status = phone.status(ready[0].recv(65536).decode(errors="replace"))
            if status >= 200:
                return status
        return 0
    finally:
        for one in sockets:
            one.close()


def ask(probe, server_port, index):
    """Whether an OPTIONS is answered."""
    for attempt in range(3):
        text = options(server_port, probe.getsockname()[1], f"alive-{index}-{attempt}")
        probe.sendto(text.encode(), ("127.0.0.1", server_port))
        if phone.status(phone.receive(probe, 1)):
            return True
    return False


lib.run("torture_wire", body)
