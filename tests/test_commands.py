"""`python -m cervix_tf` names every command that there is."""

import importlib.util
import subprocess
import sys

import pytest

from cervix_tf.__main__ import COMMANDS, main


def test_every_command_is_printed_with_the_question_that_it_answers(capsys):
    main([])
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


def test_a_command_may_follow_the_name_of_the_package_and_an_unknown_one_is_refused(tmp_path):
    words, out = [sys.executable, "-m", "cervix_tf"], str(tmp_path / "run")
    told = subprocess.run([*words, "train", "none.csv", "-o", out], capture_output=True, text=True, check=False)
    assert told.returncode == 2 and "none.csv: no such file" in told.stderr
    told = subprocess.run([*words, "learn", "none.csv"], capture_output=True, text=True, check=False)
    assert told.returncode == 2 and told.stderr == "error: learn: no such command; python -m cervix_tf lists all\n"


def test_the_networks_are_listed_with_the_weights_there_are_and_without_a_library_s_own_lines():
    words = [sys.executable, "-m", "cervix_tf.models", "list"]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    origin = {line.split()[0]: line.rpartition(": ")[2] for line in told.stdout.splitlines()}
    assert origin["mobilenet_v2"] == "Keras' download" and origin["deit_tiny"] == "convert a PyTorch checkpoint"
    assert origin["botnet50"] == origin["resnet10_narrow"] == "none"
    assert told.stderr == ""
