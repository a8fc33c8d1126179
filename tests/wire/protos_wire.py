#!/usr/bin/env python3
"""PROTOS c07-sip against the running program: all 4,527 cases over UDP, then over TCP. After each one a
valid call to the echo service is answered and ended; memory stays within a bound.

The cases are not part of this repository: RINGFORT_CORPUS names a folder with
protos-c07-sip/testcases.tar.gz (files of packets, `<decimal length><SP><octets>`, with tags to fill).
"""

import os
import socket
import tarfile
import time

import lib
import phone

# A case may open a call that nobody acknowledges: it is there for 32 s. 4,527 of them at once and
# their retransmissions are what the bound has to hold.
MOST_MORE_KB = 96 * 1024
ATTACKER = "127.0.0.78"


def cases(archive):
    """The packets of each case, in order."""
    with tarfile.open(archive) as tar:
        members = sorted((member for member in tar.getmembers() if member.isfile()), key=lambda member: member.name)
        for number, member in enumerate(members):
            yield [fill(packet, number, place) for place, packet in enumerate(packets(tar.extractfile(member).read()))]


def packets(octets):
    while octets:
        length, _, rest = octets.partition(b" ")
        if not length.strip().isdigit():
            return
        yield rest[:int(length)]
        octets = rest[int(length):]


def fill(packet, case, place):
    for tag, text in (("To", "9196@127.0.0.1"), ("From", "attacker@127.0.0.1"), ("From-Address", ATTACKER),
                      ("From-IP", ATTACKER), ("Local-Port", "5060"), ("Branch-ID", f"{case * 2 + place:06}"),
                      ("Call-ID", str(case)), ("CSeq", "1"), ("Teardown-Method", "CANCEL")):
        packet = packet.replace(f"<{tag}>".encode(), text.encode())
    head, empty, body = packet.partition(b"\r\n\r\n")
    return packet.replace(b"<Content-Length>", str(len(body) if empty else 0).encode())


class Caller:
    """Calls the echo service from a trusted address: INVITE, 200, ACK, BYE, 200."""

    def __init__(self, port):
        self.socket = phone.udp()
        self.server = ("127.0.0.1", port)
        self.local = self.socket.getsockname()[1]
        self.serial = 0
        self.sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                    f"m=audio {self.local + 1 if self.local < 65535 else 9} RTP/AVP 0\r\n")

    def text(self, method, uri, to, number, body=""):
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.local};branch=z9hG4bK{self.serial}{method};rport\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:valid@127.0.0.1>;tag=v{self.serial}\r\nTo: {to}\r\nCall-ID: valid{self.serial}\r\n"
                f"CSeq: {number} {method}\r\nContact: <sip:valid@127.0.0.1:{self.local}>\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}")

    def ask(self, text, method):
        """The final answer to a request, which is repeated as over a network."""
        for pause in (0.2, 0.5, 1, 2):
            self.socket.sendto(text.encode(), self.server)
            end = time.monotonic() + pause
            while (left := end - time.monotonic()) > 0:
                answer = phone.receive(self.socket, left)
                if phone.header(answer, "Call-ID") != f"valid{self.serial}" or phone.status(answer) < 200:
                    continue
                if phone.header(answer, "CSeq").endswith(method):
                    return answer
        return ""

    def call(self):
        self.serial += 1
        uri = f"sip:9196@127.0.0.1:{self.server[1]}"
        answer = self.ask(self.text("INVITE", uri, f"<{uri}>", 1, self.sdp), "INVITE")
        if phone.status(answer) != 200:
            return False
        target = phone.header(answer, "Contact").split("<")[1].split(">")[0]
        to = phone.header(answer, "To")
        self.socket.sendto(self.text("ACK", target, to, 1).encode(), self.server)
        return phone.status(self.ask(self.text("BYE", target, to, 2), "BYE")) == 200


def over_udp(port):
    attacker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attacker.bind((ATTACKER, 0))
    attacker.setblocking(False)

    def send(case):
        for packet in case:
            if len(packet) <= 65507:
                attacker.sendto(packet, ("127.0.0.1", port))
    return send


def over_tcp(port):
    open_ones = []

    def send(case):
        # The connection stays until the valid call after it has been answered.
        while len(open_ones) > 1:
            open_ones.pop(0).close()
        made = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(ATTACKER, 0))
        open_ones.append(made)
        made.settimeout(1)
        try:
            for packet in case:
                made.sendall(packet)
        except OSError:
            pass  # closed by the server after a message that cannot be framed
    return send


def body(checks, arguments, folder):
    corpus = os.environ.get("RINGFORT_CORPUS", os.path.join(lib.ROOT, "..", "shared", "corpus"))
    archive = os.path.join(corpus, "protos-c07-sip", "testcases.tar.gz")
    if not os.path.isfile(archive):
        lib.skip("protos_wire", "no PROTOS cases: set RINGFORT_CORPUS")
    server = lib.Ringfort(arguments.ringfort, folder, users=[("1001", "secret")],
                          trunks=[("carrier", "udp:127.0.0.1:9")])
    server.start()
    try:
        caller = Caller(server.sip_port)
        checks.check(caller.call(), "a valid call goes through before")
        before = server.process.rss_kb()
        for name, carrier in (("UDP", over_udp), ("TCP", over_tcp)):
            begin, send, done, dead = time.monotonic(), carrier(server.sip_port), 0, []
            for number, case in enumerate(cases(archive)):
                send(case)
                done += 1
                if not caller.call():
                    dead.append(number)
                    if len(dead) > 3 or not server.process.running():
                        break
            after = server.process.rss_kb()
            checks.check(done == 4527 and not dead,
                         f"{name}: a valid INVITE is answered after each of {done} cases"
                         f"{f', but for {dead}' if dead else ''}, "
                         f"in {time.monotonic() - begin:.1f} s")
            checks.check(after - before < MOST_MORE_KB, f"{name}: memory {before} kB before, {after} kB after")
        checks.check(server.process.running(), "the appliance runs")
        errors = server.metric("ringfort_sip_parse_errors_total") or 0
        checks.check(errors > 1000, f"{errors:.0f} parse errors are counted")
        restarts = server.metric("ringfort_shard_restarts_total")
        checks.check(not restarts, f"{restarts} shards were started again")
    finally:
        code = server.stop()
    checks.check(code == 0, f"the appliance ends with 0 ({code})")


lib.run("protos_wire", body)
