"""The lock that `make` installs from, and the page of licenses."""

import configparser
import importlib.metadata
import importlib.util
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]


def _loaded():
    spec = importlib.util.spec_from_file_location("dependencies", PROJECT / "docs" / "dependencies.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dependencies = _loaded()
TEXT = dependencies.LOCK.read_text()
PINS = dependencies.versions(TEXT)


def required(extra=""):
    settings = configparser.ConfigParser()
    settings.read(PROJECT / "setup.cfg")
    lines = settings["options.extras_require"][extra] if extra else settings["options"]["install_requires"]
    return [Requirement(line) for line in lines.strip().splitlines()]


def test_every_package_has_one_version_and_the_hashes_of_its_files():
    blocks = dependencies.blocks(TEXT)
    assert list(blocks) == list(PINS) and len(PINS) > 50
    for name, block in blocks.items():
        first, *hashes = block.splitlines()
        assert hashes and all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), name
        assert re.fullmatch(rf"{re.escape(name)}(\[.+\])?=={re.escape(PINS[name])}( ; .+)? \\", first)


def test_the_lock_names_extras_that_packages_require_of_each_other():
    """Where `coverage[toml]` is required and `coverage` locked, pip takes the newest version and finds no hash."""
    blocks = dependencies.blocks(TEXT)
    checked = 0
    for name, version in PINS.items():
        try:
            here = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, here.requires or [] if here.version == version else []):
            if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                named, _, _ = blocks[canonicalize_name(requirement.name)].partition("==")
                assert requirement.extras <= set(named.partition("[")[2].rstrip("]").split(",")), f"{name}: {named}"
                checked += 1
    assert checked


def test_the_lock_names_no_registry():
    assert not re.search(r"://|^-|index-url|find-links|file:|@", TEXT, re.MULTILINE)


@pytest.mark.parametrize("extra", ["", "dev", "federated"])
def test_what_setup_cfg_requires_stands_in_the_lock_in_a_version_that_it_admits(extra):
    for requirement in required(extra):
        version = PINS.get(canonicalize_name(requirement.name))
        assert version is not None and requirement.specifier.contains(version), requirement


def test_the_demo_installs_what_the_program_requires_and_the_build_tools_but_no_tests():
    first = dependencies.versions(TEXT.partition(dependencies.MORE)[0])
    assert {canonicalize_name(each.name) for each in required()} | {"setuptools"} <= set(first)
    assert not {"pytest", "flwr", "ray", "mypy"} & set(first)


def test_the_page_of_licenses_is_what_the_installed_packages_say():
    row = re.compile(r"^\| ([\w.-]+) \| ([\w.!+-]+) \| (.+) \| (?:everything|make test) \|$", re.MULTILINE)
    rows = row.findall(dependencies.PAGE.read_text())
    listed = {name: (version, license) for name, version, license in rows if name != "package"}
    assert {name: version for name, (version, _) in listed.items()} == PINS
    for name, (version, license) in listed.items():
        assert license != "not installed here", name
        try:
            here = importlib.metadata.version(name) == version
        except importlib.metadata.PackageNotFoundError:
            continue
        assert not here or dependencies.license(name) == license


def test_an_upgrade_is_told_package_by_package():
    assert dependencies.upgrades({"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": "1", "d": "3"}) == [
        "a 1 -> 2",
        "c 1 -> gone",
        "d new -> 3",
    ]


def test_no_page_and_no_message_installs_the_project_by_a_name_that_a_stranger_could_register():
    told = re.compile(r"pip install (?:[^\n`]*[\s'\"])?cervix[_-]tf", re.IGNORECASE)  # ./cervix_tf-1.whl is a file
    suffixes = (".md", ".py", ".cfg", ".toml", ".html", ".yaml", ".ipynb")
    files = [PROJECT / "Makefile", *(path for path in PROJECT.glob("*") if path.suffix in suffixes)]
    for folder in ("cervix_tf", "docs", "experiments", "tests", "data_manifests"):
        files += [path for path in (PROJECT / folder).rglob("*") if path.suffix in suffixes]
    assert len(files) > 100
    assert [str(path) for path in files if told.search(path.read_text(encoding="utf-8"))] == []
