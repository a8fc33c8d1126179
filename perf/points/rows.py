"""The rows of `perf/growth`: what stands at each point, and which work is measured beside it."""

from contextlib import contextmanager

from points import refresh, work
from points.place import Place, shards_for
from points.row import Point, Row, measure

HOT_USERS = 1000  # that register again and again


@contextmanager
def places(bench, labels, options):
    """Places by label, ended whatever happens. `options(label)` are the keywords of each."""
    made = []
    try:
        for label in labels:
            made.append(Place(bench, label, **options(label)))
        yield made
    finally:
        for place in made:
            place.stop()


def call_standing(bench) -> Row:
    row = _beside_calls(bench, "call-standing", work.calls, bench.call_rate, "direct", 1)
    if not bench.quick:
        row.notes.append(refresh.cost(bench))
    return row


def relayed_standing(bench) -> Row:
    return _beside_calls(bench, "relayed-standing", work.calls, bench.call_rate, "relay", None)


def packet_standing(bench) -> Row:
    return _beside_calls(bench, "packet-standing", work.packets, bench.packet_rate, "relay", None)


def _beside_calls(bench, name, kind, rate, media, shards):
    most = max(bench.standing_calls)
    shards = shards or shards_for(most + round(2.5 * bench.call_rate))
    labels = bench.labels(bench.standing_calls, 0, "calls stand")
    far = ("standing", "audio" if kind is work.packets else "load")
    options = {"shards": shards, "standing_media": media, "relayed": most + 5000, "far": far}
    with places(bench, labels, lambda label: options) as made:
        for place in made:
            place.stand_calls(labels[place.label])
        row = measure(bench, name, [Point(place.label, place, rate) for place in made], kind, at_once=True)
    row.notes.append(f"{shards} shard(s); standing calls: B2BUA, {'ports relayed, silent' if media == 'relay' else 'audio direct'}")
    return row


def register_bindings(bench) -> Row:
    return _beside_bindings(bench, "register-bindings", work.registers(HOT_USERS), bench.register_rate, HOT_USERS,
                            f"the same {HOT_USERS} users register, each bound already; 401 and 200 count one each")


def call_bindings(bench) -> Row:
    return _beside_bindings(bench, "call-bindings", work.calls_to_users, bench.proxy_rate, 1,
                            "proxied calls to users drawn from all that are registered")


def _beside_bindings(bench, name, kind, rate, own, note):
    labels = bench.labels(bench.standing_bindings, own, "bindings")
    with places(bench, labels, lambda label: {"mode": "proxy", "users": labels[label] + own, "far": ("load",)}) as made:
        for place in made:
            place.stand_registrations(own, 1)
            if labels[place.label]:
                place.stand_registrations(labels[place.label], own + 1)
        row = measure(bench, name, [Point(place.label, place, rate) for place in made], kind, at_once=True)
    row.notes.append(f"1 shard; {note}")
    return row


def shards_call(bench) -> Row:
    return _shards(bench, "shards-call", work.calls, bench.proxy_rate_a_shard, mode="proxy", far=("load",))


def shards_register(bench) -> Row:
    return _shards(bench, "shards-register", work.registers(HOT_USERS), bench.register_rate_a_shard, users=HOT_USERS)


def shards_packet(bench) -> Row:
    return _shards(bench, "shards-packet", work.packets, bench.packet_rate_a_shard, far=("audio",))


def _shards(bench, name, kind, rate, **options):
    labels = {"1 shard": 1, "2 shards": 2}
    with places(bench, labels, lambda label: {"shards": labels[label], "relayed": 5000, **options}) as (one, two):
        points = [Point(f"1 shard, {rate:,}/s", one, rate), Point(f"2 shards, {rate:,}/s in all", two, rate),
                  Point(f"2 shards, {2 * rate:,}/s in all", two, 2 * rate)]
        return measure(bench, name, points, kind, at_once=False)


ROWS = {"call-standing": call_standing, "relayed-standing": relayed_standing, "packet-standing": packet_standing,
        "register-bindings": register_bindings, "call-bindings": call_bindings, "shards-call": shards_call,
        "shards-register": shards_register, "shards-packet": shards_packet}
