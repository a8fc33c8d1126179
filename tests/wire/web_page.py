#!/usr/bin/env python3
"""The web page in headless Chromium, with a call on it while it is looked at."""

import os
import subprocess
import sys

import lib
import phone

BROWSER = os.path.join(lib.ROOT, "tests", "web", "browser.py")


def body(checks, arguments, folder):
    if not os.path.exists(BROWSER):
        lib.skip("web_page", "tests/web/browser.py is not there")
    server = lib.Ringfort(arguments.ringfort, folder, users=[("1001", "secret")])
    server.start()
    try:
        one = phone.Phone("1001", "secret", server.sip_port)
        registered = one.request("REGISTER", f"sip:127.0.0.1:{server.sip_port}", to="<sip:1001@127.0.0.1>")
        checks.check(phone.status(registered) == 200, "a phone is registered, so that the search finds something")
        one.call("9196")
        done = subprocess.run(
            [sys.executable, BROWSER, "--url", f"http://127.0.0.1:{server.http_port}", "--token-file", server.token_file,
             "--screenshots", arguments.screenshots or folder],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180, check=False)
        print(done.stdout.rstrip())
        checks.check(done.returncode == 0, "the browser's checks pass")
        one.hang_up()
    finally:
        server.stop()


lib.run("web_page", body, [("--screenshots", str, "", "folder for the pictures")])
