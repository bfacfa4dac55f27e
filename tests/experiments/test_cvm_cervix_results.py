"""What the study's README says was measured, was: from result files."""

import re
from pathlib import Path

from experiments.cvm_cervix import tables

STUDY = Path(tables.__file__).parent
RESULTS = sorted((STUDY / "results").glob("*.json"))
PAPERS = {
    *(number for numbers in tables.TABLE_3.values() for number in numbers),
    *(number for _, *splits in tables.PUBLISHED.performance.values() for numbers in splits for number in numbers),
    *tables.LIN_2019.values(),
}


def test_the_readmes_results_are_cells_of_result_files_or_the_papers():
    _, results = (STUDY / "README.md").read_text(encoding="utf-8").split("\n## Results\n")
    typed = re.sub(r"<!-- cell .*?<!-- end -->", "", results)
    assert {float(number) for number in re.findall(r"\d+\.\d+", typed.replace("MobileNetV2", ""))} <= PAPERS
    for file in re.findall(r"<!-- cell (\S+\.json);", results):
        assert Path(file).name in {path.name for path in RESULTS}


def test_the_readme_has_at_most_150_lines():
    assert len((STUDY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
