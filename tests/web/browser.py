#!/usr/bin/env python3
"""Looks at a running appliance's web page with headless Chromium.

    browser.py --url http://127.0.0.1:8080 --token-file ringfort-data/token [--screenshots DIR]
               [--expect-aor '<script>alert(1)</script>']

Needs chromium and chromedriver (Debian: chromium, chromium-driver) and nothing else. Prints what
passed; exits 0 when everything did, 1 otherwise.
"""
import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Driver:
    """W3C WebDriver by plain HTTP."""

    def __init__(self, chromium, chromedriver):
        self.profile = tempfile.mkdtemp(prefix="ringfort-web-")
        self.process = subprocess.Popen([chromedriver, "--port=0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.port = None
        for line in self.process.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        if self.port is None:
            raise RuntimeError("chromedriver did not start")
        self.session = None
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "unhandledPromptBehavior": "ignore",
            "goog:chromeOptions": {"binary": chromium, "args": FLAGS + [f"--user-data-dir={self.profile}"]},
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = answer["sessionId"]

    def call(self, method, path, body=None):
        base = f"/session/{self.session}" if self.session else ""
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{base}{path}", data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].splitlines()[0]) from None

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def type(self, css, text):
        element = self.find(css)
        self.call("POST", f"/element/{element}/clear")
        self.call("POST", f"/element/{element}/value", {"text": text})

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click")

    def text(self, css):
        return self.run("const n = document.querySelector(arguments[0]); return n && n.textContent;", css)

    def devtools(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def log(self):
        return self.call("POST", "/se/log", {"type": "browser"})

    def wait(self, what, script, *args, seconds=10):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = self.run(script, *args)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"{what}: not seen within {seconds} s")

    def close(self):
        try:
            if self.session:
                self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(10)
            shutil.rmtree(self.profile, ignore_errors=True)


class Checks:
    def __init__(self, driver, options):
        self.d, self.o = driver, options
        self.failed = 0

    def all(self):
        for check in [self.sign_in, self.page, self.numbers_move, self.hostile_text, self.search, self.chart,
                      self.narrow, self.connection_lost, self.screenshots, self.end_a_call, self.console, self.sign_out]:
            name = check.__name__.replace("_", " ")
            try:
                note = check()
                print(f"passed  {name}" + (f": {note}" if note else ""))
            except (AssertionError, RuntimeError, OSError) as error:
                self.failed += 1
                print(f"FAILED  {name}: {error}")
            sys.stdout.flush()

    def sign_in(self):
        d = self.d
        d.go(self.o.url + "/")
        d.wait("the sign-in page", "return !!document.querySelector('form #token')")
        assert "alls now" not in d.text("body"), "figures are shown without a sign-in"
        d.type("#token", "not the token")
        d.click("button[type=submit]")
        d.wait("the note on a wrong token", "return document.querySelector('.note')?.textContent.includes('not the right')")
        d.type("#token", self.o.token)
        d.click("button[type=submit]")
        d.wait("the page", "return document.querySelector('#calls')?.textContent !== '–' && !!document.querySelector('#calls')")
        cookie = d.run("return document.cookie")
        assert cookie == "", f"scripts can read the session's cookie: {cookie}"
        self.d.log()  # what came before (the refused token) is not of interest
        self.o.link = f"{self.o.url}/?token={urllib.parse.quote(self.o.token)}"
        d.go(self.o.link)
        d.wait("the page by its link", "return !!document.querySelector('#calls')")
        assert "token" not in d.call("GET", "/url"), "the token stays in the address"

    def page(self):
        d = self.d
        d.wait("health", "return ['ok','draining','degraded'].includes(document.querySelector('#health').textContent)")
        d.wait("figures", "return document.querySelector('#calls').textContent !== '–'")
        d.wait("a shard's row", "return document.querySelector('#shards tbody tr')")
        for css in ["header", "main", "footer", "h1", "#live-calls thead th[scope=col]", "#bindings thead th[scope=col]"]:
            assert d.run("return !!document.querySelector(arguments[0])", css), f"no {css}"
        return f"{d.text('#version')}, health {d.text('#health')}, {d.run('return document.querySelectorAll(`#shards tbody tr`).length')} shards"

    def numbers_move(self):
        before = self.d.text("#uptime")
        self.d.wait("a change", "return document.querySelector('#uptime').textContent !== arguments[0]", before, seconds=5)
        moving = ["#calls", "#rps", "#pps", "#cps", "#registrations"]
        first = [self.d.text(css) for css in moving]
        until = time.monotonic() + self.o.move_seconds
        while time.monotonic() < until and first == [self.d.text(css) for css in moving]:
            time.sleep(0.2)
        now = [self.d.text(css) for css in moving]
        if first == now:
            assert not self.o.expect_traffic, f"nothing moves: {now}"
            return "uptime (nothing else happens there)"
        return f"uptime, {[css for css, a, b in zip(moving, first, now) if a != b]}"

    def hostile_text(self):
        d = self.d
        note = "no hostile binding asked for"
        if self.o.expect_aor:
            d.wait("the hostile binding as text",
                   "return [...document.querySelectorAll('#bindings td')].some(td => td.textContent.includes(arguments[0]))",
                   self.o.expect_aor)
            note = f"{self.o.expect_aor} is text"
        foreign = d.run("return [...document.querySelectorAll('script, img, iframe, object, [onerror], [onclick], [style]')]"
                        ".filter(n => !(n.tagName === 'SCRIPT' && n.src.endsWith('/app.js'))).length")
        assert foreign == 0, f"{foreign} foreign elements in the page"
        try:
            alert = d.call("GET", "/alert/text")
        except RuntimeError:
            alert = None
        assert alert is None, f"an alert is open: {alert}"
        return note

    def search(self):
        d = self.d
        first = d.run("return document.querySelector('#bindings tbody td')?.textContent")
        if not first:
            return "nothing registered"
        d.type("#search", first)
        d.wait("only what was searched", "return [...document.querySelectorAll('#bindings tbody tr')]"
               ".every(tr => tr.cells[0].textContent.startsWith(arguments[0])) && document.querySelector('#bindings tbody tr')", first)
        d.type("#search", "no such thing anywhere")
        d.wait("the empty result", "return !document.querySelector('#no-bindings').hidden")
        d.run("const s = document.querySelector('#search'); s.value = ''; s.dispatchEvent(new Event('input'));")
        d.wait("all again", "return document.querySelector('#bindings tbody tr')")

    def chart(self):
        self.d.wait("a line in the chart", "return /M.*L/.test(document.querySelector('#chart-calls .line')?.getAttribute('d'))")

    def shape(self, width, dark=False):
        self.d.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.d.devtools("Emulation.setScrollbarsHidden", hidden=True)
        self.d.devtools("Emulation.setEmulatedMedia",
                        features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        time.sleep(1.2)  # one event, so that the charts are drawn anew

    def narrow(self):
        for width in [1280, 768, 390, 320]:
            self.shape(width)
            over = self.d.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, f"at {width} pixels the page is {over} too wide"
        self.shape(1280)

    def connection_lost(self):
        d = self.d
        network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        d.devtools("Network.enable")
        d.devtools("Network.emulateNetworkConditions", offline=True, **network)
        d.run("source.close(); connect();")  # an open stream is not cut by the emulation
        d.wait("the banner", "return !document.querySelector('#lost').hidden", seconds=10)
        assert d.text("#health") == "no connection"
        d.devtools("Network.emulateNetworkConditions", offline=False, **network)
        d.wait("the recovery", "return document.querySelector('#lost').hidden", seconds=20)
        d.log()

    def screenshots(self):
        if not self.o.screenshots:
            return "not asked for"
        os.makedirs(self.o.screenshots, exist_ok=True)
        for width in [1280, 390]:
            for dark in [False, True]:
                self.shape(width, dark)
                self.d.run("document.activeElement.blur(); scrollTo(0, 0);")
                shot = self.d.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
                name = f"{'dark' if dark else 'light'}-{width}.png"
                with open(os.path.join(self.o.screenshots, name), "wb") as file:
                    file.write(base64.b64decode(shot["data"]))
        self.shape(1280)
        return self.o.screenshots

    def console(self):
        entries = [e["message"] for e in self.d.log() if e["level"] in ("SEVERE", "WARNING")]
        assert not entries, entries

    def end_a_call(self):
        if not self.o.end_call:
            return "not asked for"
        d = self.d
        ended = d.wait("a call", "return document.querySelector('#live-calls tbody tr')?.rowKey")
        button = d.find("#live-calls tbody tr button")
        for _ in range(2):  # the first press asks
            d.call("POST", f"/element/{button}/click")
        d.wait("its end", "return ![...document.querySelectorAll('#live-calls tbody tr')]"
               ".some(tr => tr.rowKey === arguments[0])", ended)
        return ended

    def sign_out(self):
        d = self.d
        d.click("#sign-out")
        d.wait("the sign-in page", "return !!document.querySelector('form #token')")
        d.go(self.o.url + "/")
        d.wait("the sign-in page again", "return !!document.querySelector('form #token')")
        if self.o.screenshots:
            self.shape(1280)
            with open(os.path.join(self.o.screenshots, "sign-in.png"), "wb") as file:
                file.write(base64.b64decode(self.d.devtools("Page.captureScreenshot", format="png")["data"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="of the appliance, without a path")
    token = parser.add_mutually_exclusive_group(required=True)
    token.add_argument("--token")
    token.add_argument("--token-file")
    parser.add_argument("--screenshots", metavar="DIR", help="write screenshots there")
    parser.add_argument("--expect-aor", metavar="TEXT", help="a binding's AOR must show this text")
    parser.add_argument("--expect-traffic", action="store_true", help="figures beside the uptime must change")
    parser.add_argument("--end-call", action="store_true", help="end the first call shown, by its button")
    parser.add_argument("--move-seconds", type=float, default=6, help="how long to wait for that")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--chromedriver", default=shutil.which("chromedriver"))
    options = parser.parse_args()
    if not options.chromium or not options.chromedriver:
        sys.exit("chromium and chromedriver are needed: apt-get install chromium chromium-driver")
    options.url = options.url.rstrip("/")
    if options.token_file:
        with open(options.token_file) as file:
            options.token = file.read().strip()
    driver = Driver(options.chromium, options.chromedriver)
    try:
        checks = Checks(driver, options)
        checks.all()
    finally:
        driver.close()
    print(f"{checks.failed} failed" if checks.failed else "all passed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
