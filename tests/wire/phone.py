"""A small SIP phone with RTP for tests: digest, one call at a time, PCMU."""

import hashlib
import random
import re
import select
import socket
import struct
import time


class Phone:
    """UDP phone of `user` at 127.0.0.1:server_port."""

    def __init__(self, user, password, server_port):
        self.user, self.password = user, password
        self.server = ("127.0.0.1", server_port)
        self.sip = udp()
        self.rtp = udp()
        self.local = self.sip.getsockname()[1]
        self.mark = random.getrandbits(40)
        self.cseq = 0
        self.to = self.target = None
        self.routes = []

    def request(self, method, uri, body="", headers=(), to=None, seconds=5):
        """Sends a request, answers challenges, repeats it like timer E; returns the final response."""
        answer, extra = None, []
        for _ in range(3):
            self.cseq += 1
            text = self.text(method, uri, body, [*headers, *extra], to)
            answer = self.exchange(text, method, seconds)
            code = status(answer)
            if method == "INVITE" and code >= 300:
                self.ack(uri, answer, text)
            if code not in (401, 407) or extra:
                return answer
            extra = [self.credentials(answer, method, uri)]
        return answer

    def text(self, method, uri, body, headers, to=None, cseq=None):
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.local};rport;branch=z9hG4bK{self.mark:x}{method}{self.cseq}",
            *(f"Route: {route}" for route in self.routes),
            f"From: <sip:{self.user}@127.0.0.1>;tag=f{self.mark:x}", f"To: {to or f'<{uri}>'}",
            f"Call-ID: {self.mark:x}@test", f"CSeq: {cseq or self.cseq} {method}", "Max-Forwards: 70",
            f"Contact: <sip:{self.user}@127.0.0.1:{self.local}>", *headers]
        if body:
            lines.append("Content-Type: application/sdp")
        return "\r\n".join(lines + [f"Content-Length: {len(body)}", "", body])

    def exchange(self, text, method, seconds):
        end, pause = time.monotonic() + seconds, 0.5
        while time.monotonic() < end:
            self.sip.sendto(text.encode(), self.server)
            again = time.monotonic() + pause
            pause = min(pause * 2, 4)
            while (left := again - time.monotonic()) > 0:
                message = receive(self.sip, left)
                if not message.startswith("SIP/2.0") or f"CSeq: {self.cseq} {method}".lower() not in message.lower():
                    continue
                if status(message) >= 200:
                    return message
                again = max(again, end)
        raise RuntimeError(f"no final answer to {method}")

    def ack(self, uri, answer, invite):
        """ACK of a failure: same transaction (RFC 3261 17.1.1.3)."""
        via = re.search(r"Via: (.*)\r\n", invite).group(1)
        text = self.text("ACK", uri, "", [], header(answer, "To"))
        self.sip.sendto(re.sub(r"Via: .*", f"Via: {via}", text, count=1).encode(), self.server)

    def credentials(self, answer, method, uri):
        proxy = status(answer) == 407
        for challenge in headers(answer, "Proxy-Authenticate" if proxy else "WWW-Authenticate"):
            values = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge.split(" ", 1)[1]))
            name = values.get("algorithm", "MD5").upper()
            if name not in ("MD5", "SHA-256"):
                continue
            digest = hashlib.md5 if name == "MD5" else hashlib.sha256
            h = lambda *parts: digest(":".join(parts).encode()).hexdigest()
            first, second = h(self.user, values["realm"], self.password), h(method, uri)
            nonce, cnonce, nc = values["nonce"], f"{self.mark:x}", "00000001"
            response = h(first, nonce, nc, cnonce, "auth", second) if "qop" in values else h(first, nonce, second)
            text = (f'Digest username="{self.user}", realm="{values["realm"]}", nonce="{nonce}", uri="{uri}", '
                    f'response="{response}", algorithm={name}')
            if "qop" in values:
                text += f', qop=auth, nc={nc}, cnonce="{cnonce}"'
            if "opaque" in values:
                text += f', opaque="{values["opaque"]}"'
            return f"{'Proxy-' if proxy else ''}Authorization: {text}"
        raise RuntimeError("no challenge that is understood")

    def call(self, number):
        """Calls; returns the address to send RTP to."""
        port = self.rtp.getsockname()[1]
        sdp = (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
               "a=rtpmap:0 PCMU/8000\r\n")
        uri = f"sip:{number}@127.0.0.1:{self.server[1]}"
        answer = self.request("INVITE", uri, sdp)
        if status(answer) != 200:
            raise RuntimeError(f"{number}: {answer.splitlines()[0]}")
        self.to = header(answer, "To")
        self.target = re.search(r"sip:[^>;\s]+[^>\s]*", header(answer, "Contact")).group(0)
        self.routes = [value.strip() for line in reversed(headers(answer, "Record-Route")) for value in reversed(line.split(","))]
        self.sip.sendto(self.text("ACK", self.target, "", [], self.to).encode(), self.server)
        body = answer.split("\r\n\r\n", 1)[1]
        return (re.search(r"c=IN IP4 (\S+)", body).group(1), int(re.search(r"m=audio (\d+)", body).group(1)))

    def hang_up(self):
        return status(self.request("BYE", self.target, to=self.to))

    def talk(self, to, seconds, payload=lambda number: bytes([0xFF]) * 160):
        """Sends a packet each 20 ms; returns what came: [(payload type, sequence, payload)]."""
        heard, begin, ssrc = [], time.monotonic(), random.getrandbits(32)
        for number in range(int(seconds * 50)):
            head = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, ssrc)
            self.rtp.sendto(head + payload(number), to)
            while (left := begin + (number + 1) / 50 - time.monotonic()) > 0:
                if select.select([self.rtp], [], [], left)[0]:
                    packet = self.rtp.recv(2048)
                    if len(packet) > 12:
                        heard.append((packet[1] & 0x7F, struct.unpack("!H", packet[2:4])[0], packet[12:]))
        return heard


def udp():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def receive(sock, seconds):
    if select.select([sock], [], [], max(seconds, 0))[0]:
        return sock.recv(65536).decode(errors="replace")
    return ""


def status(message):
    return int(message[8:11]) if message and message.startswith("SIP/2.0 ") else 0


def headers(message, name):
    head = message.split("\r\n\r\n", 1)[0]
    return [value.strip() for value in re.findall(rf"(?mi)^{name}\s*:(.*)$", head)]


def header(message, name):
    return (headers(message, name) or [""])[0]


def ulaw(octet):
    """One PCMU sample, linear (ITU-T G.711)."""
    octet = ~octet & 0xFF
    value = (((octet & 0x0F) << 3) + 0x84 << ((octet & 0x70) >> 4)) - 0x84
    return -value if octet & 0x80 else value
