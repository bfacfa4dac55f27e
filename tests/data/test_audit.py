from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cervix_tf.data import audit, fingerprints, images
from cervix_tf.data import manifest as manifests
from cervix_tf.data.audit import Report
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError

Picture = Callable[..., np.ndarray]


def save(path: Path, pixels: np.ndarray, *options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels, options)[1].tobytes())
    return path


def save_cmyk(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(pixels).convert("CMYK").save(path)


def of_files(root: Path, **columns: dict[str, str]) -> Manifest:
    """Every file below `root` by name; `columns` give column -> {path: value}."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*"))
    return manifests.from_records(
        [{"path": path} | {column: values.get(path, "") for column, values in columns.items()} for path in files],
        root,
    )


def audited(manifest: Manifest) -> Report:
    return audit.audit(manifest, workers=2, max_megapixels=1)


def kinds(report: Report) -> dict[str, list[tuple[str, str]]]:
    """path -> its (kind, severity)."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in report.findings.itertuples():
        found.setdefault(str(row.path), []).append((str(row.kind), str(row.severity)))
    return found


def broken(path: Path, picture: np.ndarray) -> None:
    """Write what the stem of `path` says."""
    whole = {suffix: cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".jpg", ".png", ".bmp", ".tif", ".webp")}
    suffix = path.suffix
    deep = picture.astype(np.uint16) * 257
    header = b"IHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = whole[".png"][:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[".png"][33:]
    content = {
        "empty": b"",
        "text": b"<html>404 not found</html>",
        "header": whole[suffix][:12] if suffix in whole else b"",
        "half": whole[suffix][: len(whole[suffix]) // 2] if suffix in whole else b"",
        "no_end": whole[suffix][:-2],
        "no_iend": whole[".png"][:-12],
        "flipped": whole[".png"][:200] + b"\0" * 40 + whole[".png"][240:],
        "deep": cv2.imencode(suffix, deep)[1].tobytes() if suffix in (".png", ".tif") else b"",
        "deep_grey": cv2.imencode(".png", deep[..., 0])[1].tobytes(),
        "webp": whole[".webp"],
        "bomb": bomb,
        "large": cv2.imencode(".png", np.zeros((1001, 1000, 3), np.uint8))[1].tobytes(),
    }
    if path.stem == "cmyk":
        save_cmyk(path, picture)
    else:
        path.write_bytes(content[path.stem])


BROKEN = {
    "empty.jpg": "empty",
    "text.jpg": "not_an_image",
    "text.png": "not_an_image",
    "header.png": "damaged",
    "half.jpg": "truncated",
    "half.png": "truncated",
    "half.bmp": "truncated",
    "half.tif": "damaged",
    "no_end.jpg": "truncated",
    "no_end.bmp": "truncated",
    "no_iend.png": "truncated",
    "flipped.png": "damaged",
    "cmyk.jpg": "wrong_channels",
    "deep.png": "sixteen_bit",
    "deep.tif": "sixteen_bit",
    "deep_grey.png": "sixteen_bit",
    "webp.webp": "wrong_format",
    "bomb.png": "too_large",
    "large.png": "too_large",
}


@pytest.mark.parametrize(("name", "kind"), BROKEN.items())
def test_a_broken_file_is_an_error_of_its_kind_and_is_left_out(
    name: str, kind: str, tmp_path: Path, picture: Picture
) -> None:
    broken(tmp_path / name, picture(0))
    report = audited(of_files(tmp_path))
    assert kinds(report) == {name: [(kind, "error")]}
    assert report.errors == 1
    ((path, reason),) = report.exclusions.itertuples(index=False, name=None)
    assert path == name and reason.startswith(f"{kind}: ")


@pytest.mark.parametrize("name", [name for name, kind in BROKEN.items() if kind != "too_large"])
def test_what_the_audit_calls_an_error_no_pipeline_reads(name: str, tmp_path: Path, picture: Picture) -> None:
    broken(tmp_path / name, picture(0))
    with pytest.raises(InputError):
        images.decode_file(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
def test_a_whole_rgb_file_has_no_finding_and_can_be_decoded(suffix: str, tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / f"whole{suffix}", picture(0))
    assert not len(audited(of_files(tmp_path)).findings)
    assert images.decode_file(tmp_path / f"whole{suffix}").shape == (96, 128, 3)


@example(cut=0.173828125)  # after the frame's header, before the scan
@given(cut=st.floats(0, 0.999))
def test_a_jpeg_cut_anywhere_is_found(cut: float, picture: Picture, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = cv2.imencode(".jpg", picture(1))[1].tobytes()
    file = tmp_path_factory.mktemp("cut") / "cut.jpg"
    file.write_bytes(whole[: int(cut * len(whole))])
    (problem,) = fingerprints.inspect(file, 1).problems
    assert problem.severity == "error"
    assert problem.kind in ("empty", "truncated", "not_an_image", "damaged")


@pytest.mark.parametrize(
    ("name", "pixels", "kind"),
    [
        ("gray.jpg", lambda picture: picture[..., 0], "wrong_channels"),
        ("alpha.png", lambda picture: np.dstack([picture, picture[..., :1]]), "wrong_channels"),
        ("blank.png", np.zeros_like, "blank"),
    ],
)
def test_an_odd_but_readable_file_is_a_warning_and_is_kept(
    name: str, pixels: Callable[[np.ndarray], np.ndarray], kind: str, tmp_path: Path, picture: Picture
) -> None:
    save(tmp_path / name, pixels(picture(0)))
    report = audited(of_files(tmp_path))
    assert kinds(report) == {name: [(kind, "warning")]}
    assert not len(report.exclusions) and report.errors == 0
    assert images.decode_file(tmp_path / name).shape == (96, 128, 3)


def test_an_extension_that_lies_is_a_warning(tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / "a.png", picture(0)).rename(tmp_path / "a.jpg")
    report = audited(of_files(tmp_path))
    assert kinds(report) == {"a.jpg": [("wrong_extension", "warning")]}
    assert report.findings["reason"][0] == "is PNG, its name ends in .jpg"


def test_a_missing_file_a_folder_and_a_changed_file_are_errors(tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "folder.jpg").mkdir()
    records = [{"path": "a.png", "sha256": "0" * 64}, {"path": "folder.jpg"}, {"path": "gone.jpg"}]
    report = audited(manifests.from_records(records, tmp_path))
    assert kinds(report) == {
        "a.png": [("changed", "error")],
        "folder.jpg": [("unreadable", "error")],
        "gone.jpg": [("missing", "error")],
    }
    assert report.exclusions["path"].tolist() == ["folder.jpg", "gone.jpg"]


def test_identical_bytes_and_identical_pixels_lose_their_later_copies(tmp_path: Path, picture: Picture) -> None:
    for name, seed in (("a.png", 0), ("b.png", 0), ("c.bmp", 0), ("other.png", 1)):
        save(tmp_path / name, picture(seed))
    report = audited(of_files(tmp_path))
    assert kinds(report) == {
        "b.png": [("identical_bytes", "warning")],
        "c.bmp": [("identical_pixels", "warning")],
    }
    assert report.findings["other"].tolist() == ["a.png", "a.png"]
    assert report.exclusions["path"].tolist() == ["b.png", "c.bmp"]
    assert report.errors == 0


def test_the_same_image_under_two_labels_is_an_error_and_both_are_left_out(tmp_path: Path, picture: Picture) -> None:
    for name in ("a.png", "b.png", "unlabeled.png"):
        save(tmp_path / name, picture(0))
    report = audited(of_files(tmp_path, label={"a.png": "cin1", "b.png": "cancer"}))
    assert ("same_image_two_labels", "error") in kinds(report)["b.png"]
    assert report.exclusions.set_index("path")["reason"].to_dict() == {
        "a.png": "conflicting labels: the same image is cancer and cin1",
        "b.png": "conflicting labels: the same image is cancer and cin1",
    }


def test_of_copies_the_labeled_then_the_tested_one_is_kept(tmp_path: Path, picture: Picture) -> None:
    for name in ("1.png", "2.png", "3.png", "4.png"):
        save(tmp_path / name, picture(0))
    labels = {"2.png": "x", "3.png": "x", "4.png": "x"}
    report = audited(of_files(tmp_path, label=labels, split={"1.png": "test", "2.png": "train", "3.png": "test"}))
    assert report.exclusions["path"].tolist() == ["1.png", "2.png", "4.png"]


@pytest.mark.parametrize(("column", "severity"), [("split", "error"), ("group", "warning")])
def test_the_same_image_in_two_splits_or_groups_is_found(
    column: str, severity: str, tmp_path: Path, picture: Picture
) -> None:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "b.bmp", picture(0))
    save(tmp_path / "c.bmp", picture(0))
    report = audited(of_files(tmp_path, **{column: {"a.png": "one", "b.bmp": "two"}}))
    assert kinds(report) == {
        "b.bmp": [("identical_pixels", "warning"), (f"same_image_two_{column}s", severity)],
        "c.bmp": [("identical_pixels", "warning")],
    }


def test_a_group_or_a_case_without_one_in_two_splits_is_an_error(tmp_path: Path, picture: Picture) -> None:
    splits = ("train", "test", "train", "validation", "test", "", "test")
    names = ("g", "g", "g", "g", "", "g", "")
    cases = ("c", "d", "d", "d", "c", "c", "e")  # the case c without a group is in test only, that of g is g's
    rows = [
        {"path": f"{at}.png", "group": group, "case": case, "split": split}
        for at, (group, case, split) in enumerate(zip(names, cases, splits, strict=True))
    ]
    for at, row in enumerate(rows):
        save(tmp_path / str(row["path"]), picture(at))
    report = audited(manifests.from_records(rows, tmp_path))
    assert report.findings[["path", "kind", "severity", "reason", "other"]].values.tolist() == [
        ["1.png", "group_two_splits", "error", "'g' is in train and in test", "0.png"],
        ["3.png", "group_two_splits", "error", "'g' is in train and in validation", "0.png"],
    ]
    assert report.errors == 2 and not len(report.exclusions)


COPIES = {
    "re-encoded.jpg": lambda picture: picture,
    "brighter.png": lambda picture: np.clip(picture.astype(int) + 30, 0, 255).astype(np.uint8),
    "darker.png": lambda picture: np.clip(picture.astype(int) - 30, 0, 255).astype(np.uint8),
    "contrast.png": lambda picture: np.clip((picture - 128.0) * 0.7 + 128, 0, 255).astype(np.uint8),
    "smaller.png": lambda picture: cv2.resize(picture, (64, 48), interpolation=cv2.INTER_AREA),
    "larger.png": lambda picture: cv2.resize(picture, (256, 192)),
    "noisy.png": lambda picture: np.clip(picture + np.random.default_rng(0).normal(0, 8, picture.shape), 0, 255).astype(
        np.uint8
    ),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("seed", range(5))
def test_brightness_contrast_size_noise_and_compression_do_not_hide_a_copy(
    name: str, seed: int, tmp_path: Path, picture: Picture
) -> None:
    save(tmp_path / "0.png", picture(seed))
    save(tmp_path / name, COPIES[name](picture(seed)), *([cv2.IMWRITE_JPEG_QUALITY, 40] * name.endswith("jpg")))
    report = audited(of_files(tmp_path))
    assert kinds(report) == {name: [("near_duplicate", "warning")]}
    assert report.findings["other"][0] == "0.png"
    assert not len(report.exclusions)


def test_different_images_are_no_near_duplicates(tmp_path: Path, picture: Picture) -> None:
    for seed in range(60):
        save(tmp_path / f"{seed}.png", picture(seed))
    assert not len(audited(of_files(tmp_path)).findings)


def test_the_same_outline_in_other_colors_is_no_near_duplicate(tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "b.png", picture(0)[..., ::-1])
    marks = fingerprints.inspect_all([tmp_path / "a.png", tmp_path / "b.png"], 1, 1)
    assert not fingerprints.near_pairs(marks)
    assert fingerprints.near_pairs(marks, threshold=64, correlation=-1)


def test_a_near_duplicate_says_which_labels_splits_and_groups_differ(tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "b.jpg", picture(0))
    manifest = of_files(
        tmp_path,
        label={"a.png": "x", "b.jpg": "y"},
        split={"a.png": "train", "b.jpg": "test"},
        group={"a.png": "g", "b.jpg": "g"},
    )
    row, _ = audited(manifest).findings.itertuples()  # the other says that g is in two splits
    assert row.kind == "near_duplicate_two_labels"
    assert str(row.reason).endswith("bits differ; labels 'x' and 'y'; splits 'train' and 'test'")


@pytest.mark.parametrize("most", [0, 3, 8, 11, 12])
def test_near_pairs_equal_a_double_loop_over_bits_and_correlations(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 256, (8, 32, 32, 3))
    marks = []
    for at in range(90):
        base = at % 8
        flips = sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 7), replace=False))
        noise = rng.normal(0, rng.choice([5, 40]), (32, 32, 3))
        thumbnail = np.clip(bases[base] + noise, 0, 255).astype(np.uint8)
        code = (0x9E3779B97F4A7C15 * (base + 1)) % 2**64 ^ flips
        marks.append(fingerprints.Fingerprint((), hash=None if at % 11 == 0 else code, thumbnail=thumbnail))
    slow = []
    for one, first in enumerate(marks):
        for two, second in enumerate(marks):
            if two <= one or first.hash is None or second.hash is None:
                continue
            bits = (first.hash ^ second.hash).bit_count()
            assert first.thumbnail is not None and second.thumbnail is not None
            correlation = np.corrcoef(first.thumbnail.ravel(), second.thumbnail.ravel())[0, 1]
            if bits <= most and correlation >= 0.95:
                slow.append((one, two, bits))
    for name in ("_SLICE", "_PAIRS"):
        monkeypatch.setattr(fingerprints, name, 7)
    assert (not most or len(slow) > 20) and len(slow) < 400
    assert fingerprints.near_pairs(marks, most, 0.95) == slow


@pytest.mark.parametrize("words", [3, 4, 5, 8, 16])
@pytest.mark.parametrize("most", [0, 3, 8, 11])
def test_near_hashes_are_found_by_words_of_any_length(words: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 2**64, 6, dtype=np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 9), replace=False)) for _ in range(120)]
    hashes = bases[np.arange(120) % 6] ^ np.array(flips, np.uint64)
    near = {(i, j) for i in range(120) for j in range(i) if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= most}
    assert len(near) > (most > 0) * 20
    monkeypatch.setattr(fingerprints, "_PAIRS", 7)
    found = {
        (max(pair), min(pair))
        for one, two in fingerprints._by_word(hashes, words, most)
        for pair in zip(one.tolist(), two.tolist(), strict=True)
    }
    assert near <= found


def test_ten_times_the_images_take_far_less_than_a_hundred_times_the_search() -> None:
    work = [min(fingerprints._looked_at(count, words, 8) for words in range(3, 17)) for count in (10**5, 10**6)]
    assert work[1] < 30 * work[0]


def test_exclusions_applied_leave_a_manifest_without_errors(tmp_path: Path, picture: Picture) -> None:
    root = tmp_path / "images"
    root.mkdir()
    for name in BROKEN:
        broken(root / name, picture(0))
    for name in ("x.png", "x copy.png", "y.png", "y copy, second.png", "z.png"):
        save(root / name, picture(ord(name[0])))
    manifest = of_files(
        root,
        label={"x.png": "a", "x copy.png": "b", "z.png": "a"},
        split={"y.png": "train", "y copy, second.png": "test"},
    )
    report = audited(manifest)
    audit.write_exclusions(report, tmp_path / "exclude.csv")
    kept = audit.apply_exclusions(manifest, tmp_path / "exclude.csv")
    assert kept.rows["path"].tolist() == ["y copy, second.png", "z.png"]
    assert audited(kept).errors == 0
    assert report.images == len(kept) + len(report.exclusions)


def test_findings_are_written_as_a_table(tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / "a.png", picture(0))
    audit.write_findings(audited(of_files(tmp_path)), tmp_path / "clean.csv")
    assert (tmp_path / "clean.csv").read_text() == "path,kind,severity,reason,other\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path\na.png\n", "no column 'reason'; there are path"),
        (b"path,reason\nb.png,bad\n", "b.png: not in the manifest"),
        (b"path,reason\na.png,\n", "a.png: no reason"),
        (b"path,reason\na.png,bad\n", "leaves out all 1 images"),
        (b"", "is empty; its header names the columns path, reason"),
        (b"path,reason\na.png,\xff\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_an_exclusion_list_that_does_not_fit_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "exclude.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        audit.apply_exclusions(manifests.from_records([{"path": "a.png"}], tmp_path), tmp_path / "exclude.csv")


def test_an_empty_exclusion_list_leaves_out_nothing(tmp_path: Path) -> None:
    (tmp_path / "exclude.csv").write_text("path,reason\n")
    manifest = manifests.from_records([{"path": "a.png"}], tmp_path)
    assert len(audit.apply_exclusions(manifest, tmp_path / "exclude.csv")) == 1


def test_similar_images_are_grouped_and_groups_that_they_tie_are_merged(tmp_path: Path, picture: Picture) -> None:
    for name, seed in {"a1": 0, "a2": 0, "b1": 1, "b2": 1, "c1": 2, "c2": 2, "d": 3, "e": 4, "f": 5}.items():
        save(tmp_path / f"{name}.{'jpg' if name.endswith('2') else 'png'}", picture(seed))
    groups = {"b1.png": "m", "b2.jpg": "k", "c2.jpg": "m", "d.png": "m", "e.png": "own"}
    grouped = audit.group_by_similarity(of_files(tmp_path, group=groups))
    found = grouped.rows.set_index("path")["group"].to_dict()
    assert found["a1.png"] == found["a2.jpg"] and found["a1.png"].startswith("near-")
    assert {found[name] for name in ("b1.png", "b2.jpg", "c1.png", "c2.jpg", "d.png")} == {"k"}
    assert found["e.png"] == "own"
    assert found["f.png"] == ""


def test_grouping_refuses_files_that_cannot_be_read(tmp_path: Path, picture: Picture) -> None:
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "b.png").touch()
    with pytest.raises(InputError, match=r"b\.png: cannot be read \(1 such files\)"):
        audit.group_by_similarity(of_files(tmp_path))


@pytest.mark.real_data
def test_the_known_conflicting_pair_of_blood_cells_is_found(real_data: Path) -> None:
    from cervix_tf.data import importers

    manifest = importers.load("pbc", real_data / "pbc", importers.Options(hash=False)).manifest
    pair = manifest.rows["path"].str.contains("EO_225902|BNE_191112")
    some = manifest.where(pair | (manifest.rows.index % 10 == 0))
    report = audit.audit(some)
    conflict = report.findings[report.findings["kind"] == "same_image_two_labels"]
    assert [Path(path).name for path in conflict["path"]] == ["BNE_191112.jpg"]
    assert [Path(path).name for path in conflict["other"]] == ["EO_225902.jpg"]
    assert [Path(path).name for path in report.exclusions["path"]] == ["EO_225902.jpg", "BNE_191112.jpg"]


@pytest.mark.real_data
def test_unlabeled_cervix_photographs_that_stand_in_the_training_part_too_are_grouped(
    real_data: Path,
) -> None:
    root = real_data / "mobileodt"
    files = [f"train/train/Type_2/{name}.jpg" for name in (1405, 53, 1217, 369, 935)]
    files += [f"unlabelled/{name}.jpg" for name in (11375, 10264, 10576)]
    grouped = audit.group_by_similarity(manifests.from_records([{"path": file} for file in files], root))
    groups = grouped.rows["group"].tolist()
    assert groups[:3] == groups[5:] and len(set(groups[:3])) == 3
    assert groups[3:5] == ["", ""]
