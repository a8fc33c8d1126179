#!/usr/bin/env python3
"""One phone alone: 9196 gives back what it says, 9664 plays something that is not silence."""

import lib
import phone


def spoken(number):
    return bytes((number * 7 + n * 3) & 0xFF for n in range(160))


def body(checks, arguments, folder):
    server = lib.Ringfort(arguments.ringfort, folder, users=[("1001", "secret")], digest=["sha-256", "md5"])
    server.start()
    try:
        one = phone.Phone("1001", "secret", server.sip_port)
        heard = [payload for _, _, payload in one.talk(one.call("9196"), 3, spoken)]
        said = {spoken(number) for number in range(150)}
        same = sum(payload in said for payload in heard)
        checks.check(same >= 140, f"9196 echoes {same} of 150 packets unchanged")
        checks.check(one.hang_up() == 200, "9196 ends with 200")
        two = phone.Phone("1001", "secret", server.sip_port)
        packets = two.talk(two.call("9664"), 3)
        samples = [phone.ulaw(octet) for _, _, payload in packets for octet in payload]
        loud = (sum(value * value for value in samples) / max(len(samples), 1)) ** 0.5
        checks.check(len(packets) >= 140, f"9664 sends {len(packets)} packets in 3 s")
        checks.check(loud > 300, f"9664 is heard: RMS {loud:.0f} of 32,767")
        gaps = sum((b[1] - a[1]) & 0xFFFF != 1 for a, b in zip(packets, packets[1:]))
        checks.check(gaps == 0, f"its sequence numbers have {gaps} gaps")
        checks.check(two.hang_up() == 200, "9664 ends with 200")
        refused = phone.Phone("1001", "wrong", server.sip_port)
        try:
            refused.call("9196")
            checks.check(False, "a wrong password must not get the echo")
        except RuntimeError as error:
            checks.check(any(code in str(error) for code in ("401", "403", "407")), f"wrong password: {error}")
    finally:
        code = server.stop()
    checks.check(code == 0, f"the appliance ends with 0 ({code})")


lib.run("echo_music", body)
