"""The export as a command: each format a stage, and no line of a C++ library."""

import re
import subprocess
import sys

from cervix_tf.export.formats import table
from cervix_tf.run_dir import read_json

STAGE = re.compile(r"(reading the model|exporting|[\w-]+: (converting|measuring its latency)|predicting)( \.\.\.|: )")
PROGRAM = """
from cervix_tf import progress
progress.FIRST_LINE, progress.LONGEST_SILENCE = 0.0, 2.0
from cervix_tf.export.__main__ import main
main()
"""


def test_the_command_shows_its_stages_and_nothing_else(single_run, unexported):
    out = unexported(single_run)
    arguments = [str(out.root), "--formats", "tflite-int8", "--force", "--repeats", "1"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    said = done.stderr.splitlines()
    assert [line for line in said if not STAGE.match(line)] == []
    for stage in ("reading the model", "tflite-int8: converting"):
        assert any(line.startswith(stage) for line in said)
    assert done.stdout == f"{table(read_json(out.exports))}\nwritten to {out.root}\n"
