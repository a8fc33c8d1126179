"""What targets.toml promises: rows beside peers, and `[growth]`, in which Ringfort is compared with itself."""

import os
import tomllib

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "targets.toml")


def beside_peers():
    """Row -> promise, as `compare` judges it."""
    return {name: promise for name, promise in _all().items() if name != "growth"}


def of_growth():
    """Row -> promise, as `growth` judges it."""
    return _all()["growth"]


def _all():
    with open(PATH, "rb") as file:
        return tomllib.load(file)
