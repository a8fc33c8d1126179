"""A row's result: samples of each server, their medians, and the verdict against targets.toml."""

import statistics


class Figures:
    """Samples in the target's unit. `floor` is our bare relay where there is one."""

    def __init__(self):
        self.peer, self.ours, self.floor, self.notes = [], [], [], []

    def add(self, server, value):
        {"ringfort": self.ours, "floor": self.floor}.get(server, self.peer).append(value)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def json(self):
        return {"peer": self.peer, "ours": self.ours, "floor": self.floor, "notes": self.notes}


def median(samples):
    return statistics.median(samples) if samples else None


def verdict(target, peer, ours):
    """(ratio text, must text, aim text, met: True/False/None)."""
    if "must_absolute" in target:
        must, aim = target["must_absolute"], target.get("aim_absolute")
        met = None if ours is None else ours <= must
        ratio = f"{ours / peer:.2f}" if ours is not None and peer else "–"
        return ratio, f"≤ {must:g} {target['unit']}", f"≤ {aim:g} {target['unit']}", met
    if peer is None or ours is None:
        return "–", f"{target['must']:g}", f"{target.get('aim', '–')}", None
    ratio = ours / peer
    if target.get("higher_is_better"):
        return f"{ratio:.2f}", f"≥ {target['must']:g}", "SIPp's limit", ratio >= target["must"]
    return f"{ratio:.3f}", f"≤ {target['must']:g}", f"≤ {target['aim']:g}", ratio <= target["must"]


def show(value, unit):
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"
