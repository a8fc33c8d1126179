"""A baresip phone without a screen: plays a tone, records what it hears, obeys over TCP."""

import json
import os
import socket
import struct
import math
import wave

import lib
from processes import Process, free_port

RATE = 8000
MODULES = next((path for path in ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules",
                                  "/usr/lib/aarch64-linux-gnu/baresip/modules") if os.path.isdir(path)), "")


class Phone:
    """One phone with one account, registered at `server_port` with digest."""

    def __init__(self, folder, user, password, server_port, tone_hz, transport="udp"):
        self.folder = os.path.join(folder, f"phone-{user}")
        self.user, self.server_port = user, server_port
        os.makedirs(self.folder)
        self.control_port = free_port("tcp", first=5100, last=5900)
        sip_port = free_port("both", first=5100, last=5900, pair=True)
        tone = os.path.join(self.folder, "tone.wav")
        write_tone(tone, tone_hz, 60)
        modules = ["g711.so", "aufile.so", "sndfile.so", "uuid.so"]
        lines = [
            f"sip_listen 127.0.0.1:{sip_port}", "audio_path /usr/share/baresip", f"audio_source aufile,{tone}",
            f"audio_player aufile,{self.folder}/played.wav", f"audio_alert aufile,{self.folder}/alert.wav",
            "audio_srate 8000-8000", "audio_channels 1-1", "call_max_calls 4", "net_interface 127.0.0.1",
            f"ctrl_tcp_listen 127.0.0.1:{self.control_port}", f"snd_path {self.folder}", "rtp_timeout 60",
            f"module_path {MODULES}", *(f"module {name}" for name in modules),
            "module_app account.so", "module_app menu.so", "module_app ctrl_tcp.so"]
        self._write("config", lines)
        self._write("accounts", [
            f"<sip:{user}@127.0.0.1:{server_port};transport={transport}>;auth_user={user};auth_pass={password}"
            ";regint=60;answermode=auto;audio_codecs=pcmu/8000/1"])
        self._write("contacts", [])
        self.process = Process(["baresip", "-f", self.folder, "-v"], os.path.join(self.folder, "log"),
                               env={"HOME": self.folder})
        self.control = None

    def _write(self, name, lines):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def registered(self):
        """True once the registrar has answered 200."""
        return "200 OK" in self.log()

    def command(self, name, params=""):
        """Sends a command of the menu; does not wait for its answer."""
        if self.control is None:
            self.control = socket.create_connection(("127.0.0.1", self.control_port), 3)
        text = json.dumps({"command": name, "params": params, "token": name})
        self.control.sendall(f"{len(text)}:{text},".encode())

    def dial(self, user):
        self.command("dial", f"sip:{user}@127.0.0.1:{self.server_port}")

    def established(self):
        return "Call established" in self.log()

    def heard(self):
        """Samples of the newest recording of what came from the network."""
        files = [os.path.join(self.folder, name) for name in os.listdir(self.folder) if name.endswith("-dec.wav")]
        return read_samples(max(files, key=os.path.getmtime)) if files else []

    def stop(self):
        if self.control:
            self.control.close()
        self.process.stop(5)


def write_tone(path, hz, seconds):
    """A sine wave at a third of full scale."""
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        step = 2 * math.pi * hz / RATE
        file.writeframes(b"".join(struct.pack("<h", int(10000 * math.sin(step * n))) for n in range(RATE * seconds)))


def read_samples(path):
    """16-bit samples; a file whose header was never completed is read by its length."""
    with open(path, "rb") as file:
        octets = file.read()
    start = octets.find(b"data") + 8
    body = octets[start:start + (len(octets) - start) // 2 * 2]
    return list(struct.unpack(f"<{len(body) // 2}h", body))


def power(samples, hz, rate=RATE):
    """Share of the signal's energy at a frequency (Goertzel), 0 to 1."""
    total = sum(sample * sample for sample in samples)
    if not total:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * hz / rate)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    return (before * before + last * last - turn * before * last) * 2 / (len(samples) * total)


def middle(samples, seconds=1.0):
    """The loudest stretch of that length, in steps of a quarter of it."""
    length = int(RATE * seconds)
    starts = range(0, max(len(samples) - length, 1), max(length // 4, 1))
    return max((samples[start:start + length] for start in starts), key=lambda part: sum(map(abs, part)), default=[])


def hears(checks, phone, own_hz, other_hz):
    """Checks that a phone heard the other's tone and not its own."""
    samples = phone.heard()
    part = middle(samples)
    other, own = power(part, other_hz), power(part, own_hz)
    checks.check(other > 0.8 and own < 0.1,
                 f"{phone.user} hears {other_hz} Hz ({other:.2f} of the energy, own tone {own:.2f}, "
                 f"{len(samples) / RATE:.1f} s recorded)")
    return other


def call(checks, folder, server_port, users, seconds=4, transport="udp"):
    """Two phones register and talk: the whole scenario, against any server at that port."""
    tones = [440, 1000]
    phones = []
    try:
        for (name, password), hz in zip(users, tones):
            phones.append(Phone(folder, name, password, server_port, hz, transport))
        for phone in phones:
            checks.check(lib.eventually(10, phone.registered), f"{phone.user} registered with digest")
        phones[0].dial(phones[1].user)
        for phone in phones:
            checks.check(lib.eventually(10, phone.established), f"{phone.user} is in the call")
        lib.time.sleep(seconds)
        yield phones
        phones[0].command("hangup")
        lib.time.sleep(1)
        for phone, own, other in zip(phones, tones, reversed(tones)):
            hears(checks, phone, own, other)
    finally:
        for phone in phones:
            phone.stop()
