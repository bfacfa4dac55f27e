"""One JSON line for each image file of a folder: what becomes of it. `python read_images.py reader|codecs FOLDER`.

`reader` is this project's audit, decoder and header reader; `codecs` are OpenCV's and
Pillow's libraries, and whatever they write to the terminal about a file. Each has a
process of its own, in which nobody else writes to the terminal.
"""

import hashlib
import json
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

SECONDS = 10


def by_reader(file):
    """The audit's and the decoder's prediction ("" = sound), and a digest of size and pixels."""
    from cervix_tf.data import fingerprints, images
    from cervix_tf.data.importing import files

    audit = [problem.kind for problem in fingerprints.inspect(file).problems if problem.severity == "error"]
    with file.open("rb") as opened:
        size = files.size(opened)
    try:
        pixels = images.decode_file(file)
    except images.UnreadableImage as error:
        return {"audit": audit, "decoder": [error.kind], "said": str(error), "pixels": ""}
    assert size == pixels.shape[1::-1], f"{size} in the manifest, {pixels.shape} decoded"
    return {"audit": audit, "decoder": [], "said": "", "pixels": hashlib.sha256(pixels).hexdigest()}


def by_codecs(file):
    """What libjpeg, libpng, libtiff, OpenCV or Pillow complain of in a file, "" for nothing."""
    import cv2
    import numpy as np
    from PIL import Image

    cv2.utils.logging.setLogLevel(0)
    data, said = file.read_bytes(), []
    with tempfile.TemporaryFile() as terminal:
        before = os.dup(2)
        os.dup2(terminal.fileno(), 2)
        try:
            tiff = data[:2] in (b"II", b"MM")  # of which OpenCV does not know every compression
            if cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is None and not tiff:
                said.append("OpenCV")
        except cv2.error:
            said.append("OpenCV")
        try:
            with warnings.catch_warnings(), Image.open(file) as image:
                warnings.simplefilter("ignore")
                image.load()
        except Exception as error:
            said.append(f"Pillow: {error}")
        os.dup2(before, 2)
        os.close(before)
        terminal.seek(0)
        said += terminal.read().decode(errors="replace").splitlines()
    return {"said": "; ".join(said)}


def peak_bytes():
    """Most memory of this process so far; `ru_maxrss` would begin at that of the process which started it."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def main(by, folder):
    """Print one JSON line a file and a last one with the memory that all of them took."""

    def too_long(*ignored):
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    for file in sorted(Path(folder).iterdir()):
        started = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            found = {"reader": by_reader, "codecs": by_codecs}[by](file)
        except BaseException as error:
            found = {"failed": repr(error)}
        signal.alarm(0)
        print(json.dumps({"name": file.name, "seconds": time.perf_counter() - started, **found}))
    print(json.dumps({"name": "", "bytes": peak_bytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
