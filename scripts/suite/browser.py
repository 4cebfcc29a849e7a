"""A headless Chromium, driven by the DevTools protocol over a pipe: what the page does, says and looks like."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

from suite import command, say

PATIENCE = 60  # seconds: a bound against hanging, not a measure
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
           "--disable-extensions", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe")


class Browser:
    """One page of one browser. `console` holds what went to its console, `requests` the addresses that it asked for."""

    def __init__(self, width=1180, height=1000, dark=False):
        self.size, self.dark = (width, height), dark
        self.console, self.requests, self.number, self.buffer, self.session = [], [], 0, b"", None

    def __enter__(self):
        if not shutil.which("chromium"):
            raise command.missing("chromium")
        self.profile = tempfile.mkdtemp(prefix="iobuf-browser-")
        read, its_write = os.pipe()
        its_read, self.write = os.pipe()
        self.read, self.process = read, None
        args = ["chromium", *OPTIONS, f"--user-data-dir={self.profile}", "about:blank"]
        say.command(args)
        try:
            # The protocol wants descriptors 3 and 4, where a shell puts them; dash knows none above 9.
            self.process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{its_read} 4>&{its_write}', "bash", *args],
                                            pass_fds=(its_read, its_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, start_new_session=True)
            os.close(its_read), os.close(its_write)
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.ask(f"{domain}.enable")
            self.resize(*self.size)
            self.scheme(self.dark)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            command.stop_group(self.process, signal.SIGKILL)
            self.process.wait()
        os.close(self.read), os.close(self.write)
        shutil.rmtree(self.profile, ignore_errors=True)

    # ---- the protocol: JSON, each message ended by a zero byte

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | ({"sessionId": self.session} if self.session else {})
        os.write(self.write, json.dumps(message).encode() + b"\0")
        return self.until(lambda got: got.get("id") == self.number, method)

    def until(self, wanted, what):
        deadline = time.monotonic() + PATIENCE
        while True:
            while b"\0" in self.buffer:
                text, self.buffer = self.buffer.split(b"\0", 1)
                got = json.loads(text)
                self.note(got)
                if wanted(got):
                    if "error" in got:
                        raise say.Stop(f"chromium refuses {what}: {got['error'].get('message')}")
                    return got.get("result", got.get("params"))
            ready, _, _ = select.select([self.read], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.read, 1 << 20) if ready else b""
            if not more:
                raise say.Stop(f"chromium {'ended' if ready else f'did not answer within {PATIENCE} s'}, at {what}: does it start by hand?")
            self.buffer += more

    def note(self, got):
        method, found = got.get("method"), got.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in found["args"]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(found["exceptionDetails"].get("exception", {}).get("description", found["exceptionDetails"]["text"]))
        elif method == "Log.entryAdded":
            self.console.append(found["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not found["request"]["url"].startswith("data:"):
            self.requests.append(found["request"]["url"])

    # ---- what one does with a page

    def open(self, path):
        """Opens a file, and returns when it is loaded and has had time to draw twice."""
        if self.ask("Page.navigate", url=f"file://{path}").get("errorText"):
            raise say.Stop(f"chromium cannot open {path}")
        self.until(lambda got: got.get("method") == "Page.loadEventFired", "loading")
        self.drawn()

    def drawn(self):
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))")

    def run(self, script):
        """The value of a JavaScript expression; of a promise, what it comes to."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def resize(self, width, height):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def scheme(self, dark, media=""):
        self.ask("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def press(self, key):
        code = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}[key]
        more = {"text": "\r" if key == "Enter" else key} if key in ("Enter", " ") else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code="Space" if key == " " else key, windowsVirtualKeyCode=code, **more)

    def point(self, x, y):
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, whole=False):
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])
