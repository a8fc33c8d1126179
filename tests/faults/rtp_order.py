#!/usr/bin/env python3
"""A stream of numbered packets through the relay, while calls come and go: it arrives in the order in which it was sent."""

import re
import socket
import struct
import threading
import time

import common
import lib
import sipp
import through
from phone import Phone, udp
from processes import free_port


class Called(threading.Thread):
    """Answers one call and notes the number of each packet of it."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind(("127.0.0.1", port))
        self.rtp, self.going, self.numbers = udp(), True, []
        for sock in (self.sip, self.rtp):
            sock.settimeout(0.05)
        self.rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.ears = threading.Thread(target=self.hear, daemon=True)

    def hear(self):
        while self.going:
            try:
                packet = self.rtp.recv(2048)
            except OSError:
                continue
            # The payload's number: the header's may be shifted by the relay.
            self.numbers.append(struct.unpack("!I", packet[12:16])[0])

    def run(self):
        self.ears.start()
        while self.going:
            try:
                octets, source = self.sip.recvfrom(8192)
            except OSError:
                continue
            text = octets.decode()
            method = text.split(" ", 1)[0]
            if method not in ("INVITE", "BYE"):
                continue
            lines = re.findall(r"(?mi)^(?:via|from|call-id|cseq|record-route):.*$", text.split("\r\n\r\n")[0].replace("\r", ""))
            to = re.search(r"(?mi)^to:(.*)$", text).group(1).strip()
            body = ""
            if method == "INVITE":
                to += ";tag=called"
                body = (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                        f"m=audio {self.rtp.getsockname()[1]} RTP/AVP 0\r\n")
            port = self.sip.getsockname()[1]
            answer = ["SIP/2.0 200 OK", *lines, f"To: {to}", f"Contact: <sip:2001@127.0.0.1:{port}>",
                      "Content-Type: application/sdp", f"Content-Length: {len(body)}", "", body]
            self.sip.sendto("\r\n".join(answer).encode(), source)

    def stop(self):
        self.going = False
        self.join()
        self.ears.join()


def body(checks, arguments, folder):
    port = free_port("udp")
    count = 4000 if arguments.quick else arguments.packets
    server = through.start(arguments, folder, "b2bua", "relay", port)
    called, caller, load = Called(port), Phone("caller", "", server.sip_port), None
    called.start()
    try:
        to = caller.call("2001")
        # Other calls of the same shards: their INVITEs are answered by the echo test, or challenged.
        load = sipp.uac(folder, server.sip_port, free_port("udp"), "nobody", 200, 200 * 60, name="load")
        # The packet that makes a source known takes another way through the relay; in one burst with others
        # it may leave after them. What is looked at is the stream.
        caller.rtp.sendto(struct.pack("!BBHII", 0x80, 0, 0xFFFF, 0, 7) + bytes(160), to)
        lib.eventually(2, lambda: called.numbers)
        called.numbers.clear()
        begin = time.monotonic()
        for number in range(count):
            head = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, 7)
            caller.rtp.sendto(head + struct.pack("!I", number) + bytes(156), to)
            # Bursts of ten, 2,000 a second.
            if number % 10 == 9 and (left := begin + number / 2000 - time.monotonic()) > 0:
                time.sleep(left)
        lib.eventually(3, lambda: len(called.numbers) >= count)
        numbers = list(called.numbers)
        late = sum(1 for one, other in zip(numbers, numbers[1:]) if other <= one)
        checks.check(late == 0, f"{late} of {len(numbers)} packets came after a later one")
        checks.check(len(numbers) >= count * 0.999, f"{len(numbers)} of {count} packets came")
        checks.check(caller.hang_up() == 200, "the call ends")
        common.figure("rtp_order", f"{count} packets in bursts through the relay under 200 requests/s: {count - len(numbers)} lost, "
                      f"{late} out of order")
    finally:
        if load:
            load.stop()
        called.stop()
        server.stop()


lib.run("rtp_order", body, [common.QUICK, ("--packets", int, 40000, "packets")])
