"""Lets the fault tests use the wire tests' modules, and holds what several of them share."""

import hashlib
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "wire"))

# Only now can they be found.
import lib  # noqa: E402
from processes import options  # noqa: E402

QUICK = ("--quick", int, 0, "1: the short form, for continuous integration")
TRUNK_ROUTE = {"match": "^2[0-9]{3}$", "to": ["trunk:sipp"], "media": "relay", "auth": "open", "mode": "b2bua"}


def figure(name, text):
    """The line that the suite repeats at its end."""
    print(f"FIGURE {name}: {text}", flush=True)


def udp(timeout=1.0):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(timeout)
    return made


def register_text(port, local, user, mark, cseq, extra=""):
    return (f"REGISTER sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{local};rport;branch=z9hG4bK{mark}-{cseq}\r\n"
            f"From: <sip:{user}@127.0.0.1>;tag={mark}\r\nTo: <sip:{user}@127.0.0.1>\r\nCall-ID: {mark}\r\n"
            f"CSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:{user}@127.0.0.1:{local}>\r\nExpires: 3600\r\n"
            f"{extra}Content-Length: 0\r\n\r\n").encode()


def authorization(challenge, user, password, uri):
    """The answer to an MD5 challenge (RFC 2617 section 3.2.2)."""
    values = dict(re.findall(r'(\w+)="?([^",\r\n]*)"?', challenge))
    h = lambda *parts: hashlib.md5(":".join(parts).encode()).hexdigest()
    response = h(h(user, values["realm"], password), values["nonce"], "00000001", "c", "auth", h("REGISTER", uri))
    return (f'Authorization: Digest username="{user}", realm="{values["realm"]}", nonce="{values["nonce"]}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
            + (f', opaque="{values["opaque"]}"' if "opaque" in values else "") + "\r\n")


def register(sock, port, user, password, mark):
    """One registration with digest; the status of its last answer, 0 for none."""
    local, uri = sock.getsockname()[1], f"sip:127.0.0.1:{port}"
    try:
        sock.sendto(register_text(port, local, user, mark, 1), ("127.0.0.1", port))
        answer = sock.recv(8192).decode()
        if answer.startswith("SIP/2.0 401"):
            challenge = re.search(r"(?mi)^WWW-Authenticate:(.*)$", answer).group(1)
            sock.sendto(register_text(port, local, user, mark, 2, authorization(challenge, user, password, uri)), ("127.0.0.1", port))
            answer = sock.recv(8192).decode()
        return int(answer[8:11])
    except OSError:
        return 0


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def options_times(port, count, mark):
    """Milliseconds of `count` OPTIONS one after the other; a lost one counts as 1,000."""
    import time
    times = []
    with udp() as sock:
        for number in range(count):
            begin = time.monotonic()
            try:
                sock.sendto(options(port, sock.getsockname()[1], f"{mark}-{number}").encode(), ("127.0.0.1", port))
                sock.recv(4096)
            except OSError:
                pass
            times.append((time.monotonic() - begin) * 1000)
            time.sleep(0.002)
    return times


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def records(server):
    """All call records as octet lines; a torn last line is returned with its octets, as it is."""
    folder, lines = os.path.join(server.data, "cdr"), []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), "rb") as file:
            lines += file.read().splitlines(keepends=True)
    return lines
