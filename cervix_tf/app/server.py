"""The page's folder, served to this machine alone."""

from __future__ import annotations

from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cervix_tf.app.folder import POLICY
from cervix_tf.errors import InputError

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, below a path of its own."""

    # Not the system's table of types, which a Windows registry can spoil.
    extensions_map = {  # noqa: RUF012 (the class above has it so)
        "": "application/octet-stream",
        ".css": "text/css",
        ".html": "text/html",
        ".jpg": "image/jpeg",
        ".js": "text/javascript",
        ".json": "application/json",
        ".md": "text/plain; charset=utf-8",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal shows the page's address."""


def start(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the folders in `folder` at this port of this machine (0: any that is free), not yet serving.

    Raises `InputError` when the port is taken.
    """

    def handler(*args: Any) -> _Handler:
        return _Handler(*args, directory=str(folder))

    try:
        return ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise InputError(f"--port {port}: {error.strerror}; choose another one, or 0 for any free one") from None
