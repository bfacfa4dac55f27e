"""What `python -m experiments.<study> --help` prints, and that it comes at once."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ("mobilenetv2_ensemble", ("Table 1", "sec. 3.5.2", "--tables")),
        ("resnet50_types", ("Sec. 4.1", "--tables")),
        ("metric_learning", ("sec. IV-B", "--tables")),
        ("federated_ssl", ("sec. III-C", "--tables")),
        ("cvm_cervix", ("sec. 4.1.3", "--tables")),
        ("cross_dataset", ("--data-sets", "--tables")),
        ("label_efficiency", ("--vote-temperature", "--tables")),
    ],
)
def test_help_names_sections_of_the_paper_and_starts_no_tensorflow(study, words):
    code = (
        f"import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('experiments.{study}', run_name='__main__')\n"
        "finally: print('heavy', sorted({'tensorflow', 'keras', 'pandas'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(word in told for word in words)
    assert "heavy []" in told


def test_the_list_of_studies_says_whose_each_is():
    told = subprocess.run([sys.executable, "-m", "experiments"], capture_output=True, text=True, check=True).stdout
    for study in ("cross_dataset", "label_efficiency"):
        assert f"experiments.{study}\n    No paper, a study of our own" in told
