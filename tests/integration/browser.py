"""Debian's headless Chromium, driven through its DevTools over a pipe: no driver, no library, no port."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Browser:
    """One page in a browser of its own; `events` contains its console messages, exceptions and requests."""

    def __init__(self, profile: Path, patience: float = 60) -> None:
        assert CHROMIUM is not None
        self.patience, self.events, self._buffer, self._number = patience, [], b"", 0
        commands_out, self._commands = os.pipe()
        self._answers, answers_in = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4; until then, ours must use other numbers.
        inherited = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (commands_out, answers_in)]
        redirected = 'exec "$@" 3<&{} 4>&{}'.format(*inherited)
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, "bash", CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=inherited,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for descriptor in (commands_out, answers_in, *inherited):
            os.close(descriptor)
        self._session: str | None = None
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda received: received.get("id") == self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path) -> None:
        """Opens a file and waits until it has loaded."""
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait(lambda event: event.get("method") == "Page.loadEventFired")

    def resize(self, width: int, height: int = 900) -> None:
        """Sets the page's width in CSS pixels, as on a screen of that size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Sets the preferred color scheme: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def point(self, x: float, y: float) -> None:
        """Moves the pointer there, in CSS pixels of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def drag(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Presses the left button at one place and releases it at another."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def double_click(self, x: float, y: float) -> None:
        """Clicks twice with the left button."""
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def download(self, click: str, folder: Path) -> Path:
        """The file that an expression, such as a click on a link, downloads into a folder."""
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self.evaluate(click)
        begun = self.wait(lambda event: event.get("method") == "Page.downloadWillBegin")
        self.wait(lambda event: event.get("params", {}).get("state") == "completed")
        return folder / str(begun["params"]["suggestedFilename"])

    def reload(self) -> None:
        """Loads the page again, as a reader does."""
        self.events.clear()
        self.call("Page.reload")
        self.wait(lambda event: event.get("method") == "Page.loadEventFired")

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event since the page was opened that is wanted; waits for it if there is none yet."""
        found = next((event for event in self.events if wanted(event)), None)
        return found if found is not None else self._wait(wanted)

    def screenshot(self, path: Path) -> None:
        """A screenshot of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def print_pdf(self, path: Path) -> None:
        """The page as printed on A4."""
        data = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, uncaught exceptions."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """The addresses that the page requested."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def _wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + self.patience
        while True:
            while b"\0" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\0")
                received: dict[str, Any] = json.loads(line)
                if "id" not in received:
                    self.events.append(received)
                if wanted(received):
                    return received
            if not select.select([self._answers], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"no message from the browser for {self.patience} seconds")
            chunk = os.read(self._answers, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._buffer += chunk
