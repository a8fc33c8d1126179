"""SIPp calls through a route, at a rate and for a time; shared by the proxy's and the B2BUA's test."""

import sipp
import lib
from processes import free_port

OPTIONS = [("--rate", int, 200, "calls/s"), ("--seconds", int, 10, "how long"),
           ("--pause-ms", int, 0, "length of a call")]


def start(arguments, folder, mode, media, uas_port, **options):
    """The appliance with one open route `^2[0-9]{3}$` to the SIPp at uas_port."""
    server = lib.Ringfort(
        arguments.ringfort, folder, trunks=[("sipp", f"udp:127.0.0.1:{uas_port}")],
        routes=[{"match": "^2[0-9]{3}$", "to": ["trunk:sipp"], "mode": mode, "media": media, "auth": "open"}], **options)
    server.start()
    return server


def body(mode, media):
    def test(checks, arguments, folder):
        uas_port = free_port("udp")
        server = start(arguments, folder, mode, media, uas_port)
        called = sipp.uas(folder, uas_port)
        count = arguments.rate * arguments.seconds
        try:
            caller = sipp.uac(folder, server.sip_port, free_port("udp"), "2001", arguments.rate, count,
                              pause_ms=arguments.pause_ms)
            result = caller.finish(arguments.seconds * 2 + arguments.pause_ms / 1000 + 60)
            checks.check(result["good"] == count and result["failed"] == 0 and result["code"] == 0,
                         f"{count} calls at {arguments.rate}/s: {result['good']} good, {result['failed']} failed, "
                         f"{result['retransmissions']} sent again, {result['seconds']:.1f} s")
            checks.check(lib.eventually(10, lambda: server.metric("ringfort_calls") == 0), "no call is left")
            checks.check(server.process.running(), "the appliance runs")
        finally:
            called.stop()
            code = server.stop()
        checks.check(code == 0, f"the appliance ends with 0 ({code})")
    return test
