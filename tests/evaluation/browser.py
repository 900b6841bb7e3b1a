"""A page driven in headless Chromium, without any driver program: the page itself runs a script and posts a report."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip

HELPERS = """
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const until = async (condition, what) => {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await wait(20);
  }
  throw new Error("waited in vain: " + what);
};
"""


def drive(page: str, script: str, patience: float = 120) -> Any:
    """What the asynchronous function body `script` returns when it runs in `page` after loading.

    Raises `AssertionError` with the message if it throws, `TimeoutError` if nothing comes back.
    """
    runner = (
        f"<script>{HELPERS}(async () => {{{script}}})()"
        ".then((value) => ({ value }), (error) => ({ error: error.message + '\\n' + error.stack }))"
        ".then((report) => fetch('/report', { method: 'POST', body: JSON.stringify(report) }));</script>"
    )
    reports: list[Any] = []
    arrived = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.replace("</body>", runner + "</body>").encode() if self.path == "/" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    folder = tempfile.mkdtemp()
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder}", f"http://127.0.0.1:{server.server_address[1]}/"]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not arrived.wait(patience):
            raise TimeoutError("the page sent no report")
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    if "error" in reports[0]:
        raise AssertionError(reports[0]["error"])
    return reports[0]["value"]
