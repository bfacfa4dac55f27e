"""`python -m cervix_tf.app RUN`: the model as a page that screens in a browser, offline and on any device."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from cervix_tf.arguments import once
from cervix_tf.errors import InputError, exit_cleanly


@dataclass(frozen=True)
class Options:
    """Turn a model into a page for a browser or a phone: images in, probabilities out, no image leaves the device.

    Research only: not a medical device.
    """

    model: tyro.conf.Positional[Path]
    """Run directory, one .tflite file that `python -m cervix_tf.export` wrote, or a released model's name."""
    out: Path | None = None
    """Write the page to this folder, for any web server (https), instead of serving it."""
    port: int = 8000
    """Port on this machine where the page is served; 0 = any free one."""
    strings: Path | None = None
    """A translation of the page: every text of cervix_tf/app/web/strings.json in another language."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write or serve the page as the command line says; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.app")
        if not 0 <= options.port < 1 << 16:
            raise InputError(f"--port {options.port}: a port is 0 to {(1 << 16) - 1}")
        from cervix_tf import quiet
        from cervix_tf.app import folder, server

        if options.out is not None:
            with quiet.libraries():
                folder.write(options.model, options.out, options.strings)
            print(f"written to {options.out}; put it on a web server (https) and open it there")
            return
        with tempfile.TemporaryDirectory() as parent:
            written = Path(parent) / "page"
            with quiet.libraries():
                version = folder.write(options.model, written, options.strings)
            # Each version at an address of its own: a browser keeps the page, and must not show another model's.
            written.rename(Path(parent) / version)
            with server.start(Path(parent), options.port) as serving:
                print(f"http://localhost:{serving.server_port}/{version}/ (end with Ctrl-C)", flush=True)
                with contextlib.suppress(KeyboardInterrupt):  # how the line above says to end it
                    serving.serve_forever()


if __name__ == "__main__":
    main()
