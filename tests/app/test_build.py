"""What the page has from npm is what npm gives, and says where it is from."""

import json
import lzma
import re
import shutil
import subprocess

import pytest

from cervix_tf.app.folder import WEB

BUILT = WEB / "litert"


def test_the_bundle_that_is_kept_is_the_one_that_npm_s_packages_make(tmp_path):
    if not shutil.which("npm") or not shutil.which("xz"):
        pytest.skip("needs npm and xz to build the page's bundle again")
    for name in ("package.json", "package-lock.json", "build.mjs", ".npmrc"):
        shutil.copyfile(WEB / name, tmp_path / name)
    fetched = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if fetched.returncode and re.search("ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|network", fetched.stderr):
        pytest.skip("npm reaches no registry from here, so the page's bundle cannot be built again")
    assert fetched.returncode == 0, fetched.stderr[-2000:]
    subprocess.run(["node", "build.mjs"], cwd=tmp_path, check=True, timeout=300)
    made = {path.name for path in (tmp_path / "litert").iterdir()}
    assert made == {path.name for path in BUILT.iterdir()} - {"NOTICE.md"}
    for name in made:
        built, kept = (folder / name for folder in (tmp_path / "litert", BUILT))
        read = lzma.decompress if name.endswith(".xz") else bytes  # one file can be packed in several ways
        assert read(built.read_bytes()) == read(kept.read_bytes()), name


def test_packages_are_pinned_by_hash_and_name_no_registry():
    needed = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, version in {**needed["dependencies"], **needed["devDependencies"]}.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(each["integrity"].startswith("sha512-") for name, each in locked.items() if name)
    assert "resolved" not in (WEB / "package-lock.json").read_text(encoding="utf-8")


def test_the_notice_names_the_version_and_license_of_what_is_bundled():
    locked = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    notice = (BUILT / "NOTICE.md").read_text(encoding="utf-8")
    for name in ("@litertjs/core", "@litertjs/wasm-utils"):
        assert locked[f"node_modules/{name}"]["license"] == "Apache-2.0"
        assert f"`{name}`" in notice and f"version {locked[f'node_modules/{name}']['version']}" in notice
    for path in BUILT.glob("*.js"):
        assert path.read_text(encoding="utf-8").startswith("/*! LiteRT.js ")
