# SPDX-License-Identifier: MIT
"""A headless Chromium, driven through its debugging pipe: what a page shows, asks for and complains about."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

DEADLINE_S = int(os.environ.get("RDRIVE_TEST_DEADLINE_S", "60"))


class Browser:
    """One page. requests: the addresses that it asked for, in order; complaints: what its console and log have of errors."""

    def __init__(self, width=1280, height=960, dark=False):
        self.folder = tempfile.mkdtemp(prefix="rdrive-browser-")
        self.requests, self.complaints, self.answers = [], [], {}
        self.number, self.pending = 0, b""
        command_read, self.commands = os.pipe()
        self.results, result_write = os.pipe()
        # The browser reads commands from descriptor 3 and writes results to descriptor 4.
        def place():
            os.dup2(command_read, 13)
            os.dup2(result_write, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)
        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars",
             f"--user-data-dir={self.folder}/profile", f"--window-size={width},{height}", "--remote-debugging-pipe", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(3, 4), preexec_fn=place,
            env={**os.environ, "HOME": self.folder})
        os.close(command_read)
        os.close(result_write)
        targets = self.wait_for(lambda: [target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page"])
        self.session = self.call("Target.attachToTarget", targetId=targets[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    session = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.commands)
        os.close(self.results)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def wait_for(condition):
        end = time.monotonic() + DEADLINE_S
        while True:
            result = condition()
            if result:
                return result
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + DEADLINE_S
        while self.number not in self.answers:
            assert time.monotonic() < end, method
            self.take(end)
        answer = self.answers.pop(self.number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def take(self, end):
        if not select.select([self.results], [], [], max(0, end - time.monotonic()))[0]:
            return
        self.pending += os.read(self.results, 1 << 20)
        *messages, self.pending = self.pending.split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.note(message["method"], message["params"])

    def note(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(str(parameters["args"]))

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        """Until it is true in the page; returns it."""
        return self.wait_for(lambda: self.evaluate(expression))

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
