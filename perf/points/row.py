"""A row: its points measured in alternation, since the machine's speed changes more between minutes than points differ."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable

from points.place import Place
from points.work import Cost


@dataclass
class Point:
    """One place under one rate. `idle` is what the place costs while nobody asks for anything, ns of CPU a second."""

    label: str
    place: Place
    rate: float
    idle: float = 0.0
    gross: list[float] = field(default_factory=list)
    net: list[float] = field(default_factory=list)
    wakeups: list[float] = field(default_factory=list)

    def add(self, cost: Cost):
        self.gross.append(cost.cpu_ns / cost.units)
        self.wakeups.append(cost.wakeups / cost.units)
        self.net.append((cost.cpu_ns - self.idle * cost.seconds) / cost.units)

    def ratios(self, first: "Point", which: str):
        """Round by round: both were measured within the same seconds."""
        return [own / other for own, other in zip(getattr(self, which), getattr(first, which))]


@dataclass
class Row:
    name: str
    points: list[Point]
    notes: list[str] = field(default_factory=list)

    def ratio(self, point: Point, which: str) -> float:
        return statistics.median(point.ratios(self.points[0], which))

    def keeps(self, point: Point, must: float) -> bool:
        """Judged without idle cost: that is no cost of the unit, whatever the rate."""
        return self.ratio(point, "net") <= must

    def json(self):
        return {"notes": self.notes, "points": [
            {"label": point.label, "rate": point.rate, "idle_ns_per_second": point.idle, "ns_per_unit": point.gross,
             "ns_per_unit_without_idle": point.net, "wakeups_per_unit": point.wakeups, "ratios": point.ratios(self.points[0], "gross"),
             "ratios_without_idle": point.ratios(self.points[0], "net")} for point in self.points]}


def measure(bench, name: str, points: list[Point], work: Callable[..., Cost], at_once: bool) -> Row:
    """Idle cost first, then a slice that only warms up, then the rounds: points at once, or one after the other."""
    places = list({id(point.place): point.place for point in points}.values())
    _idle(bench, points, places)
    at_once = at_once and not bench.in_turn
    if not bench.quick:
        _round(points, work, min(bench.slice_seconds, 2), 1, at_once)
    for number in range(bench.repeats):
        for point, cost in _round(order(points, number), work, bench.slice_seconds, number + 2, at_once):
            point.add(cost)
        for place in places:
            place.check()
    return Row(name, points, ["points at once" if at_once else "points in turn"])


def _round(points, work, seconds, seed, at_once):
    with ThreadPoolExecutor(len(points) if at_once else 1) as pool:
        costs = [pool.submit(work, point.place, point.rate, seconds, seed) for point in points]
        return [(point, cost.result()) for point, cost in zip(points, costs)]


def order(points: list[Point], number: int) -> list[Point]:
    """Rotated by each round, and every second one backwards: each point follows each other one."""
    at = number % len(points)
    turned = points[at:] + points[:at]
    return turned[::-1] if number % 2 else turned


def _idle(bench, points, places):
    """All places at the same time, once the transactions of what was set up are forgotten."""
    time.sleep(bench.linger_seconds)
    before = [(place.cpu_ns(), time.monotonic()) for place in places]
    time.sleep(bench.idle_seconds)
    for place, (cpu, at) in zip(places, before):
        rate = (place.cpu_ns() - cpu) / (time.monotonic() - at)
        for point in points:
            if point.place is place:
                point.idle = rate
