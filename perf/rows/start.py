"""Start to ready with 75,000 stored bindings."""

import os

import sipp
from rows import register, servers
from rows.figures import Figures

NAMES = ["start"]


def run(bench):
    figures = Figures()
    if not bench.ringfort:
        figures.note("Ringfort only")
        return {"start": figures}
    count = 10000 if bench.quick else 75000
    users_csv = os.path.join(bench.folder, "users-start.csv")
    users = sipp.users_file(users_csv, count)
    server = servers.ringfort(bench, users=users)
    try:
        _, result = register.measure(bench, server.sip_port, server.process, users_csv, count, 2000)
        register.check(figures, "ringfort", result, count)
        server.stop()
        for _ in range(max(bench.repeats, 3)):
            figures.add("ringfort", server.start())
            held = server.settled("ringfort_registrations", count)
            figures.note(f"{held:.0f} of {count} bindings after the start" if held is not None else "no metric")
            server.stop()
        server.start()
        server.kill9()
        figures.note(f"after kill -9: {server.start():.2f} s")
    finally:
        server.stop()
    figures.note(f"the configuration file holds all {count} users, its reading is included")
    return {"start": figures}
