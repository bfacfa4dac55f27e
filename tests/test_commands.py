"""`python -m cervix_tf` names every command that there is."""

import importlib.util
import subprocess
import sys

import pytest

from cervix_tf.__main__ import COMMANDS, main


def test_every_command_is_printed_with_the_question_that_it_answers(capsys):
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(COMMANDS) + 1
    assert all(line.startswith("python -m ") and line.endswith("?") for line in lines)


@pytest.mark.parametrize("command", sorted({command.split()[0] for command in COMMANDS}))
def test_a_printed_command_is_there_and_starts_without_tensorflow(command):
    assert importlib.util.find_spec(f"cervix_tf.{command}.__main__")
    code = (
        f"import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('cervix_tf.{command}', run_name='__main__')\n"
        "finally: print('heavy', sorted({'tensorflow', 'keras', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "heavy []" in done.stdout, done.stderr[-500:]
