"""The folder that is the page: static files for any web server, nothing of them computed there."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cervix_tf import atomic, quality, released
from cervix_tf.app import samples
from cervix_tf.contract import Contract
from cervix_tf.data import views, walk
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, flatbuffer, saved_model, web
from cervix_tf.run_dir import RunDir, read_json, read_object, write_json

WEB = Path(__file__).with_name("web")
"""The page's own files; index.html and worker.js are templates."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: nothing is fetched from, or sent to, another server than the page's own."""
VARIANTS = ("float32", "float16", "int8")
UNKNOWN = "unknown"
"""Variant of a file whose name is not one that the export gives."""
_PACKED = ".xz"
_OF_THE_BUILD = ("package.json", "package-lock.json", "build.mjs")


def write(model: Path, target: Path, strings: Path | None = None) -> str:
    """Write the page of a run, a released model or one exported .tflite to `target`; its version is given back.

    Of a run its float32 (else float16) and int8 files are taken, those for the web where they are. `strings` is a
    translation of web/strings.json.

    Raises `InputError` for a model that is missing, damaged, for images of one size or gives embeddings, a translation
    that lacks a text, and a target that holds something else.
    """
    texts = _texts(strings)
    model = released.find(model)
    files = _files(model)
    found = {name: associated_files.read(path).contract for name, path in files.items()}
    contract = next(iter(found.values()))
    if any(other != contract for other in found.values()):
        raise InputError(f"{model}: its .tflite files belong to different models; export the run again")
    gate = quality.read(quality.beside(next(iter(files.values()))), contract)
    if contract.neighbors:
        raise InputError(
            f"{model}: {contract.task} gives embeddings, which the page cannot compare with neighbors; "
            "use `python -m cervix_tf.predict`"
        )
    for path in files.values():
        if not {saved_model.PIXELS, saved_model.ONE} & set(flatbuffer.inputs(path.read_bytes())):
            raise InputError(
                f"{path}: takes whole-number images of its own size, as the mobile-* formats do, which the page cannot "
                "run; give the run, or its file of a tflite-* or web-* format"
            )
    atomic.check_target(target, folder=True, ours=lambda folder: (folder / "app.json").is_file())
    with atomic.replacing(target) as part:
        part.mkdir()
        _copy(part)
        models = []
        for name, path in files.items():
            content = web.of(path)
            sha256 = hashlib.sha256(content).hexdigest()
            # A page that is still open must not take the file of another model: over plain http it cannot check it.
            file = f"{name}-{sha256[:16]}.tflite"
            (part / file).write_bytes(content)
            row = {"name": name, "file": file, "bytes": len(content), "sha256": sha256}
            models.append({**row, "digest": found[name].digest, "widest_change": _change(path)})
        contract.write(part / "contract.json")
        drawn = samples.write(contract.views, part)
        names = {view: _view_name(view, contract.views, texts) for view in contract.views}
        kinds = asdict(gate)["kinds"] if gate else None
        images = {
            "endings": [*walk.SUFFIXES, *walk.NOT_READ],
            "made_by_systems": sorted(walk.MADE_BY_SYSTEMS),
            "thumbnail": walk.THUMBNAIL.pattern,
        }
        write_json(part / "app.json", {"models": models, "views": names, "quality": kinds, "images": images})
        write_json(part / "strings.json", texts)
        write_json(part / "app.webmanifest", _manifest(contract, texts))
        page = {
            "t": SimpleNamespace(**texts),
            "contract": contract,
            "models": models,
            "samples": drawn,
            "view_names": names,
        }
        _render(part / "index.html", **page, about=_about(contract, texts), policy=POLICY)
        return _version(part)


def _files(model: Path) -> dict[str, Path]:
    """Name of the variant -> .tflite file."""
    if model.is_file():
        run = RunDir(model.parent)
        named = {path.name: name for name in (*VARIANTS, "dynamic") for path in (run.web(name), run.tflite(name))}
        return {named.get(model.name, UNKNOWN): model}
    if not model.is_dir():
        raise InputError(f"{model}: no such run or file; give a run directory or an exported .tflite file")
    run = RunDir(model)
    kept = {name: (run.web(name), run.tflite(name)) for name in VARIANTS}
    there = {name: path for name, paths in kept.items() for path in [*filter(Path.is_file, paths)][:1]}
    if not there:
        raise InputError(
            f"{model}: no .tflite in it yet; "
            f"run `python -m cervix_tf.export {model} --formats web-float32 web-int8` first"
        )
    if "float32" in there:
        there.pop("float16", None)
    return there


def _change(path: Path) -> float:
    """By how much this file changed leads on its run's test inputs at most; 0 where the export has not measured it."""
    exports = RunDir(path.parent).exports
    rows = read_json(exports) if exports.is_file() else []
    return max((row["widest_change"] for row in rows if row["file"] == path.name), default=0.0)


def _texts(strings: Path | None) -> dict[str, str]:
    """What the page says: in English, or as a translation of every text has it."""
    english: dict[str, str] = read_object(WEB / "strings.json")
    if strings is None:
        return english
    if not strings.is_file():
        raise InputError(f"{strings}: no such file; give a translation of cervix_tf/app/web/strings.json")
    texts = read_object(strings)
    for key, text in english.items():
        if not isinstance(texts.get(key), str):
            raise InputError(
                f"{strings}: lacks {key!r} ({text!r}); a translation has every text of cervix_tf/app/web/strings.json"
            )
        names = [sorted(re.findall(r"{(\w+)}", each)) for each in (text, texts[key])]
        if names[0] != names[1]:
            raise InputError(f"{strings}: {key!r} has {names[1]} in braces, but {names[0]} are filled in")
    return texts


def _copy(part: Path) -> None:
    for path in [*WEB.glob("*.*"), *WEB.glob("litert/*.*")]:
        copy = part / path.relative_to(WEB)
        copy.parent.mkdir(exist_ok=True)
        if path.suffix == _PACKED:
            copy.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        elif path.name not in _OF_THE_BUILD and not path.name.startswith("."):
            shutil.copyfile(path, copy)


def _view_name(view: str, every: tuple[str, ...], texts: Mapping[str, str]) -> str:
    kind, number = views.kind(view), views.number(view)
    alone = sum(views.kind(other) == kind for other in every) == 1
    if f"view_{kind}" not in texts:
        return view
    return texts[f"view_{kind}"] if alone else texts[f"view_{kind}_number"].format(number=number)


def _manifest(contract: Contract, texts: Mapping[str, str]) -> dict[str, Any]:
    icons = [{"src": f"icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png"} for side in (192, 512)]
    named = {"name": f"{contract.task} - {texts['title']}", "short_name": contract.task, "lang": texts["lang"]}
    colors = {"theme_color": "#5c1f4a", "background_color": "#ffffff"}
    return {**named, "start_url": "./", "scope": "./", "display": "standalone", **colors, "icons": icons}


def _about(contract: Contract, texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the page says of the model: heading and value."""
    values = {
        "use": contract.intended_use,
        "data": contract.data,
        "classes": ", ".join(contract.classes),
        "positive": ", ".join(contract.positive),
        "views": ", ".join(contract.views),
        "size": texts["size"].format(width=contract.width, height=contract.height),
        "license": contract.license,
        "version": contract.version,
        "digest": contract.digest,
    }
    return [(texts[f"about_{name}"], value) for name, value in values.items() if value]


def _version(part: Path) -> str:
    """Write the service worker, which knows every file of the page and one digest over all of them."""
    files = sorted(path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file())
    files.remove("worker.js")
    digests = [hashlib.sha256((part / name).read_bytes()).hexdigest() for name in files]
    version = hashlib.sha256(json.dumps([files, digests]).encode()).hexdigest()[:16]
    _render(part / "worker.js", version=version, files=json.dumps(["./", *files]))
    return version


def _render(path: Path, **values: Any) -> None:
    """Fill in a template; what is put into HTML is escaped."""
    import jinja2

    settings = jinja2.Environment(autoescape=path.suffix == ".html", undefined=jinja2.StrictUndefined)
    path.write_text(
        settings.from_string((WEB / path.name).read_text(encoding="utf-8")).render(values), encoding="utf-8"
    )
