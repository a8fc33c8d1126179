"""Kinds of work. Each does a slice at a place and says what it cost the server: nanoseconds of CPU, units, seconds."""

import json
import os
import time
from dataclasses import dataclass

import lib
from points.place import AUDIO, LOAD, USERS, Place
from rows.load import ringload, timed

SOURCES = 16  # ports that load comes from: the kernel spreads them over the shards' sockets
BEGINNING = 400  # calls with audio a second
ENDING_SECONDS = 0.3  # the last calls' answers, and what gathers for some milliseconds


@dataclass
class Cost:
    cpu_ns: int
    units: float
    seconds: float
    wakeups: float


def calls(place: Place, rate: float, seconds: float, seed: int) -> Cost:
    """Complete calls without audio over an open route, `rate` a second."""
    return _run(place, rate, seconds, seed, ["-s", LOAD])


def calls_to_users(place: Place, rate: float, seconds: float, seed: int) -> Cost:
    """Complete calls to registered users, drawn anew in each slice from all that are registered."""
    users = place.bench.users_file(place.registrations)
    scenario = place.bench.calling_users()
    return _run(place, rate, seconds, seed, ["-sf", scenario, "-inf", users])


def registers(users: int):
    """REGISTER with digest by the first `users` users again and again, `rate` REGISTERs a second, each second one challenged."""
    def work(place: Place, rate: float, seconds: float, seed: int) -> Cost:
        scenario = place.bench.registering(place.far_port)
        cost = _run(place, rate / 2, seconds, seed, ["-sf", scenario, "--register", users, "--user-prefix", USERS])
        return Cost(cost.cpu_ns, 2 * cost.units, cost.seconds, cost.wakeups)
    return work


def packets(place: Place, rate: float, seconds: float, seed: int) -> Cost:
    """Relayed RTP of calls with audio both ways (100 packets a second each), measured while all of them talk."""
    count, before, result = round(rate / 100), place.standing_calls(), place.log("audio") + ".json"
    talk = count / BEGINNING + seconds + 1
    load = place.ringload("audio", place.target(), "-sn", "uac_audio", "-s", AUDIO, "-m", count, "-l", count, "-r", BEGINNING,
                          "-d", f"{talk:.1f}s", "-mi", place.address(201), "--rtp-ports", "10000-29999", "--ports", SOURCES,
                          "--seed", seed, "--json", result)
    try:
        if not lib.eventually(count / BEGINNING + 1, lambda: place.standing_calls() >= before + count):
            raise RuntimeError(f"{place.label}: of {count} calls with audio {place.standing_calls() - before} began: {load.tail()}")
        woken = place.wakeups()
        cpu, begin = place.cpu_ns(), time.monotonic()
        time.sleep(seconds)
        cpu, took = place.cpu_ns() - cpu, time.monotonic() - begin
        woken = place.wakeups() - woken
        code = load.wait(20)
    finally:
        load.stop(3)
    with open(result, encoding="utf-8") as file:
        heard = json.load(file)["audio"]
    # Departures keep their pace of 20 ms, so the rate is known; what was heard shows that all of it was relayed.
    expected = count * talk * 50
    if code != 0 or heard["received"] < 0.98 * expected:
        raise RuntimeError(f"{place.label}: calls with audio ended with code {code}; the callers heard {heard['received']} of "
                           f"{expected:.0f} packets: {load.tail()}")
    return Cost(cpu, rate * took, took, woken)


def _run(place: Place, rate: float, seconds: float, seed: int, words: list) -> Cost:
    """One ringload to its end. All has to succeed, or the figures would be of other work."""
    count, result = round(rate * seconds), place.log("slice") + ".json"
    if os.path.exists(result):
        os.unlink(result)
    woken = place.wakeups()
    begin, before = time.monotonic(), place.cpu_ns()
    _, code, text = timed([ringload(place.bench), place.target(), *words, "-r", rate, "-m", count, "-l", 20000, "--shards", 1,
                           "--ports", SOURCES, "--seed", seed, "--quiet", "--json", result],
                          place.bench.folder, os.path.basename(place.log("slice")), seconds * 2 + 40)
    time.sleep(ENDING_SECONDS)
    spent, took = place.cpu_ns() - before, time.monotonic() - begin
    woken = place.wakeups() - woken
    if code != 0:
        raise RuntimeError(f"{place.label}: {count} at {rate:g}/s ended with code {code}: {text[-600:]}")
    with open(result, encoding="utf-8") as file:
        done = json.load(file)["calls"]
    if done["successful"] != count:
        raise RuntimeError(f"{place.label}: {done['successful']} of {count} at {rate:g}/s succeeded")
    return Cost(spent, count, took, woken)
