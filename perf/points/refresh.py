"""Session refreshes (RFC 4028): what standing calls cost that no slice sees, since they are due half an interval later."""

import time

import lib
from points.place import Place

USUAL, SHORT = 1800, 90  # session intervals in seconds: the default, and the shortest
SECONDS = 14


def cost(bench) -> str:
    """Refreshes at the rate that the most standing calls bring about with the default interval, measured with a few
    calls and the shortest interval: a sentence."""
    calls = max(bench.standing_calls)
    rate = max(1, round(calls / (USUAL / 2)))  # calls refreshed a second
    place = Place(bench, "session refreshes", far=("standing",), session_expires=SHORT)
    try:
        begin = time.monotonic()
        place.stand_calls(round(rate * (SECONDS + 2)), rate)
        lib.eventually(SHORT / 2, lambda: time.monotonic() > begin + SHORT / 2 - SECONDS)
        idle = _spent(place, SECONDS - 3)
        if not lib.eventually(10, lambda: _asked(place) > 0):
            raise RuntimeError(f"no session was refreshed within {SHORT / 2 + 10} s")
        before = _asked(place)
        busy = _spent(place, SECONDS)
        asked = _asked(place) - before
        place.check()
    finally:
        place.stop()
    more = busy - idle
    return (f"session refreshes, which no slice has: {calls:,} calls with the default interval of {USUAL} s need "
            f"{2 * rate:.0f} a second, which cost {more / 1e6:.2f} ms/s more than nothing to do ({more * SECONDS / max(asked, 1) / 1000:.0f} us each)")


def _asked(place):
    return place.server.metric("ringfort_sip_requests_total", method="OPTIONS", direction="out") or 0


def _spent(place, seconds):
    """Nanoseconds of CPU a second."""
    before, begin = place.cpu_ns(), time.monotonic()
    time.sleep(seconds)
    return (place.cpu_ns() - before) / (time.monotonic() - begin)
