"""seen.json: which files and groups a model was trained and chosen on, as digests that travel with every export.

Whoever has a file, or knows the name of a group, can ask whether it is among them, and nothing else:
each digest is HMAC-SHA256 under a salt of the run's own, cut to 8 bytes, so that the lists of two
runs cannot be joined. The salt lies beside them. What can be guessed can be found out, then: image
files cannot, short numbers of patients can.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cervix_tf import atomic, bounded, progress
from cervix_tf.errors import InputError

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest

_BYTES = 64 << 20
_WIDTH = np.dtype("<u8")
_SALT = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Part:
    """The rows that a model saw for one purpose."""

    rows: int
    """How many there were; 0 = the run does not say."""
    files: np.ndarray
    """Digests of the files' bytes, sorted, uint64; fewer than rows where a file was not there any more."""
    groups: np.ndarray
    """Digests of the names of groups and of cases, sorted, uint64."""


@dataclass(frozen=True)
class Seen:
    """What a model was trained on, and what its epoch, threshold or number of neighbors was chosen on."""

    salt: str
    """32 hex digits."""
    trained: Part
    chosen: Part

    def text(self) -> str:
        """The record as JSON text."""
        parts = {name: _as_json(getattr(self, name)) for name in ("trained", "chosen")}
        return json.dumps({"salt": self.salt, **parts}, indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Write seen.json, whole or not at all."""
        atomic.write_text(path, self.text())


@dataclass(frozen=True)
class Overlap:
    """How much of what was tested a model had seen before."""

    files: int
    """Tested files."""
    groups: int
    """Tested groups (women, visits, slides); a file without a group or case is one by itself."""
    trained_files: int
    trained_groups: int
    """Groups of which a file, the group's own name or a case's is among what the model was trained on."""
    chosen_files: int
    chosen_groups: int
    """Likewise of what it was chosen on; those it was trained on are not counted again."""
    unknown_files: int
    """Tested files without a known digest: neither their bytes nor a sha256 of the manifest was there."""

    def warnings(self) -> list[str]:
        """What a reader of results has to know first, one line each; none if nothing was seen."""
        found = []
        for verb, files, groups in (
            ("trained", self.trained_files, self.trained_groups),
            ("chosen", self.chosen_files, self.chosen_groups),
        ):
            if files or groups:
                all_of = "ALL" if groups == self.groups else f"{groups}"
                found.append(
                    f"the model was {verb} on {files} of these {self.files} files and on {all_of} of these "
                    f"{self.groups} groups"
                    + ("" if files else " (by their names; no file is the same: is it the same data set?)")
                    + "; results on them say nothing about new patients"
                )
        return found

    def summary(self) -> dict[str, Any]:
        """The fields and the warnings, as they stand in metrics.json and comparison.json."""
        return {**asdict(self), "warnings": self.warnings()}


def of(manifest: Manifest, salt: str = "") -> Seen:
    """The record of a run's manifest: rows of split `train`, and of those whose split begins with `val`.

    Files without a sha256 in the manifest are read. Without `salt` a new one is drawn.
    """
    salt = salt or secrets.token_hex(16)
    splits = manifest.rows["split"]
    return Seen(
        salt,
        _part(manifest.where(splits == "train"), salt),
        _part(manifest.where(splits.str.startswith("val")), salt),
    )


def overlap(seen: Seen, tested: Manifest, *, read: bool = True) -> Overlap:
    """How much of the tested rows is in the record; `read` their files rather than believe the manifest's sha256."""
    from cervix_tf.data.groups import groups_of

    rows = tested.rows
    contents = _contents(tested, believe=not read)
    groups = groups_of(rows, "path")

    def marked(part: Part) -> tuple[np.ndarray, np.ndarray]:
        file = np.isin(_digests(seen.salt, contents), part.files) & (np.array(contents, dtype=object) != "")
        named = [
            np.isin(_digests(seen.salt, _names(rows, column)), part.groups) & (rows[column] != "").to_numpy()
            for column in ("group", "case")
        ]
        unit = groups.isin(groups[file | named[0] | named[1]]).to_numpy()
        return file, unit

    trained_file, trained_unit = marked(seen.trained)
    chosen_file, chosen_unit = marked(seen.chosen)
    return Overlap(
        files=len(rows),
        groups=groups.nunique(),
        trained_files=int(trained_file.sum()),
        trained_groups=groups[trained_unit].nunique(),
        chosen_files=int((chosen_file & ~trained_file).sum()),
        chosen_groups=groups[chosen_unit & ~trained_unit].nunique(),
        unknown_files=contents.count(""),
    )


def remarks(seen: Seen | None, overlap: Overlap | None) -> list[str]:
    """Warnings of what was seen before, and what cannot be known about it."""
    if seen is None or overlap is None:
        return ["the model does not say what it was trained on: whether these images are among it is not known"]
    unsaid = [
        f"the model's run does not say which images it was {verb} on"
        for verb, part in (("trained", seen.trained), ("chosen", seen.chosen))
        if not part.rows
    ]
    unread = []
    if overlap.unknown_files:
        unread = [f"{overlap.unknown_files} of these files could not be read to check whether the model has seen them"]
    return [*(f"WARNING: {each}" for each in overlap.warnings()), *unsaid, *unread]


def read(path: Path) -> Seen:
    """The record in a seen.json file. Raises `InputError` when it is damaged, FileNotFoundError when it is missing."""
    try:
        raw = bounded.read(path, _BYTES)
    except bounded.Unreadable as error:
        raise InputError(f"{path}: {error}; export the run again") from None
    return parse(raw, str(path))


def parse(raw: bytes, name: str) -> Seen:
    """The record in the bytes of a seen.json; `name` stands for it in messages. Raises `InputError`."""
    try:
        value = bounded.json_value(raw, _BYTES)
        if not isinstance(value, dict) or set(value) != {"salt", "trained", "chosen"}:
            raise bounded.Unreadable("is not a record of seen files and groups")
        if not isinstance(value["salt"], str) or not _SALT.fullmatch(value["salt"]):
            raise bounded.Unreadable("its salt is not 32 hex digits")
        return Seen(value["salt"], _from_json(value["trained"]), _from_json(value["chosen"]))
    except bounded.Unreadable as error:
        raise InputError(f"{name}: {error}; export the run again") from None


def _part(rows: Manifest, salt: str) -> Part:
    contents = [each for each in _contents(rows, believe=True) if each]
    names = [
        name
        for column in ("group", "case")
        for name, value in zip(_names(rows.rows, column), rows.rows[column], strict=True)
        if value
    ]
    return Part(len(rows), np.unique(_digests(salt, contents)), np.unique(_digests(salt, names)))


def _contents(rows: Manifest, *, believe: bool) -> list[str]:
    """What stands for each file's bytes; "" where nothing is known of them."""
    given = list(rows.rows["sha256"]) if believe else [""] * len(rows)
    with ThreadPoolExecutor() as pool:  # reading and hashing both give up Python's lock
        each = pool.map(lambda pair: pair[0] or _sha256(pair[1]), zip(given, rows.paths(), strict=True))
        found = list(progress.counted(each, "comparing files with what the model has seen", len(given), "images"))
    return [f"file {each}" if each else "" for each in found]


def _sha256(path: str) -> str:
    try:
        bounded.size(Path(path))
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, bounded.Unreadable):
        return ""


def _names(rows: Any, column: str) -> list[str]:
    return [f"{column} {value}" for value in rows[column]]


def _digests(salt: str, texts: Iterable[str]) -> np.ndarray:
    key = bytes.fromhex(salt)
    whole = b"".join(hmac.digest(key, text.encode(), "sha256")[: _WIDTH.itemsize] for text in texts)
    return np.frombuffer(whole, _WIDTH)


def _as_json(part: Part) -> dict[str, Any]:
    packed = {name: base64.b64encode(getattr(part, name).tobytes()).decode() for name in ("files", "groups")}
    return {"rows": part.rows, **packed}


def _from_json(value: Any) -> Part:
    if not isinstance(value, dict) or set(value) != {"rows", "files", "groups"}:
        raise bounded.Unreadable("is not a record of seen files and groups")
    if type(value["rows"]) is not int or value["rows"] < 0:
        raise bounded.Unreadable("its number of rows is not a count")
    try:
        files, groups = (
            np.frombuffer(base64.b64decode(value[name], validate=True), _WIDTH) for name in ("files", "groups")
        )
    except (TypeError, ValueError, binascii.Error) as error:
        raise bounded.Unreadable(f"its digests are incomplete ({error})") from None
    return Part(value["rows"], files, groups)
