"""What importing a package registers, seen from a fresh process, as a reader of a saved model has it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cervix_tf

ROOT = Path(cervix_tf.__file__).parent
CODE = """
import importlib, json, sys
import keras
for package, names in json.loads(sys.argv[1]).items():
    importlib.import_module(package)
    lacking = [name for name in names if keras.saving.get_registered_object(name) is None]
    assert not lacking, f"{package}: {lacking}"
"""


def decorated(package):
    """Registered names of the package's classes, read from its files."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / package).glob("*.py")))
    return [f"cervix_tf>{name}" for name in re.findall(r"register_keras_serializable\(.*\)\nclass (\w+)", text)]


def test_importing_a_package_registers_every_class_that_a_saved_model_may_hold():
    names = {f"cervix_tf.{package}": decorated(package) for package in ("losses", "layers", "training")}
    assert all(len(each) >= 5 for each in names.values())
    command = [sys.executable, "-c", CODE, json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
