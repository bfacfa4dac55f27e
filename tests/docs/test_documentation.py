"""What README and guides print works as printed: commands, Python examples, notebooks, links."""

import csv
import importlib
import itertools
import operator
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from cervix_tf.data.importers.csv import USUAL

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(PROJECT.glob("docs/guides/*.md"))]
EVERY_PAGE = [*PAGES, PROJECT / "saved_models" / "README.md", *sorted(PROJECT.glob("experiments/**/README.md"))]
OWN_PICTURES = PROJECT / "docs" / "guides" / "own_data.md"
SMALL = [
    *("--network", "resnet10_narrow", "--weights", "random", "--images.size", "32", "--images.batch-size", "8"),
    *("--optimizer.epochs", "2", "--optimizer.learning-rate", "0.01"),
]


def name_of(page):
    return str(page.relative_to(PROJECT))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page):
    """Words of every `python -m ...` of a page, placeholders in capitals and comments left out."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(python -m [^`]+)`", page.read_text(encoding="utf-8"))
    return [shlex.split(line, comments=True) for line in [*lines, *inline] if line.startswith("python -m ")]


def run(words, folder):
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of pictures that differ in color, and the run that the guide's three commands make of them."""
    folder, rng = tmp_path_factory.mktemp("user"), np.random.default_rng(0)
    for name, color in (("benign", (60, 160, 60)), ("malignant", (160, 60, 60))):
        (folder / "pictures" / name).mkdir(parents=True)
        for at in range(30):
            pixels = np.clip(np.array(color) + rng.normal(0, 25, (48, 64, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "pictures" / name / f"p{at // 3:03d}_{at % 3}.png"), pixels[..., ::-1])
    shutil.copytree(folder / "pictures" / "malignant", folder / "new_pictures")
    first, second, third = (shlex.split(line) for line in blocks(OWN_PICTURES, "sh")[0].splitlines())
    run(first, folder)
    assert "report my_run/report.html" in run([*second, *SMALL], folder)
    assert "most probable" in run(third, folder)
    return folder


def test_three_commands_lead_from_a_folder_of_pictures_to_a_report(folder):
    for name in ("report.html", "model_card.md", "model.tflite", "metrics.json"):
        assert (folder / "my_run" / name).exists(), name


def first_example(folder):
    """What the README's first example prints in a folder with a picture, and what the README says that it prints."""
    (command,) = blocks(PROJECT / "README.md", "sh")[1].splitlines()
    return run(shlex.split(command), folder).splitlines(), blocks(PROJECT / "README.md", "text")[0].splitlines()


def test_the_readmes_first_example_gives_probabilities_before_any_training(tmp_path):
    cv2.imwrite(str(tmp_path / "cell.jpg"), np.full((100, 100, 3), 200, np.uint8))
    (header, found, *_), (promised, _) = first_example(tmp_path)
    assert header == promised
    assert len(found.split()) == len(header.split()) - 1  # "most probable" is two words


def test_the_readmes_first_example_prints_what_the_readme_says(tmp_path, real_data):
    shutil.copy(real_data / "cric_crops" / "HSIL" / "101_7604.jpg", tmp_path / "cell.jpg")
    (_, found, *_), (_, promised) = ([line.split() for line in lines] for lines in first_example(tmp_path))
    assert (found[0], found[-1]) == (promised[0], promised[-1])
    np.testing.assert_allclose(np.float64(found[1:-1]), np.float64(promised[1:-1]), atol=0.005)


def test_the_guides_table_of_images_is_imported_by_the_guides_command(tmp_path):
    (table,) = [block for block in blocks(OWN_PICTURES, "text") if block.startswith("path,")]
    _, *lines = [line.split(",") for line in table.splitlines()]
    for at, line in enumerate(lines):
        file = tmp_path / "smears" / line[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((8, 8, 3), 20 * at, np.uint8))
    (tmp_path / "smears" / "table.csv").write_text(table)
    (command,) = [words for words in commands(OWN_PICTURES) if "csv" in words and "--table" not in words]
    assert "has no column" not in run(command, tmp_path)
    made = csv.DictReader((tmp_path / "smears" / "manifest.csv").read_text().splitlines())
    names = ("path", "label", "group", "age", "device", "split")
    assert [[row[name] for name in names] for row in made] == lines


def test_the_guide_names_every_column_that_the_import_of_a_table_recognizes():
    rows = re.findall(r"^\| (`[^|]+) \|[^|]+\| (`--[^|]+-column`[^|]*) \|$", OWN_PICTURES.read_text("utf-8"), re.M)
    named = {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)}
    options = {name for _, options in rows for name in re.findall(r"`--(\w+)-column`", options)}
    assert named == {"path", *itertools.chain(*USUAL.values())}
    assert options == {"path", *USUAL}


def test_the_readme_prints_the_same_three_commands():
    assert blocks(OWN_PICTURES, "sh")[0] in [*blocks(PROJECT / "README.md", "sh")]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_the_python_examples_of_a_page_run(page, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    assert "p_malignant" in capsys.readouterr().out


@pytest.fixture(scope="module")
def help_of():
    known: dict[tuple[str, ...], str] = {}

    def text(*words):
        if words not in known:
            known[words] = run(["python", "-m", *words, "--help"], PROJECT)
        return known[words]

    return text


# A results page quotes a command as it ran at the commit that it names, options renamed since included.
@pytest.mark.parametrize("page", [page for page in EVERY_PAGE if page.parent.name != "results"], ids=name_of)
def test_every_option_of_a_printed_command_is_one_that_the_command_has(page, help_of):
    for _, _, module, *words in commands(page):
        if "<" in module or "smith2026" in module:  # what the reader puts there
            continue
        verbs = words[:1] if module in ("cervix_tf.data", "cervix_tf.models") else []
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        told = help_of(module, *verbs)
        for option in options:
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w.-])", told), f"{module} {verbs}: {option}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_every_link_to_a_file_leads_somewhere(page):
    links = ["".join(link.split()) for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))]
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", ["train_on_your_own_pictures", "use_a_model"])
def test_a_notebook_runs_from_top_to_bottom(name, folder):
    notebook = nbformat.read(PROJECT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)


def test_the_readme_is_a_page_not_a_book():
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


STUDIES = [page.parent.name for page in sorted(PROJECT.glob("experiments/*/README.md"))]


@pytest.mark.parametrize("study", STUDIES)
def test_a_studys_page_says_where_each_of_the_papers_numbers_is(study):
    page = (PROJECT / "experiments" / study / "README.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 150
    section = page.partition("## Where the paper's numbers are\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:config|tables|figures|model)\.[\w.]+)`", section))
    for name in named:
        module, _, attribute = name.partition(".")
        operator.attrgetter(attribute)(importlib.import_module(f"experiments.{study}.{module}"))
    published = vars(importlib.import_module(f"experiments.{study}.config").PUBLISHED)
    assert {name for name in named if "PUBLISHED." in name} == {f"config.PUBLISHED.{name}" for name in published}
