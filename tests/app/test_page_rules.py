"""What the page has in its own words is what Python does: refusals, resizing, the order of views."""

import cv2
import numpy as np
import pytest

from cervix_tf.data import images, resizing, views, walk
from cervix_tf.errors import InputError
from tests.app.browsing import choose, until_told


def test_what_python_refuses_the_page_refuses_and_says_why(opened, tmp_path, picture):
    from PIL import Image

    rgb = picture(0)
    cv2.imwrite(str(tmp_path / "deep.png"), rgb.astype(np.uint16) * 256)
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "cmyk.jpg")
    cv2.imwrite(str(tmp_path / "whole.png"), rgb)
    cv2.imwrite(str(tmp_path / "whole.jpg"), rgb)
    for suffix in ("png", "jpg"):
        data = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    changed = bytearray((tmp_path / "whole.png").read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed.png").write_bytes(changed)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "words.jpg").write_text("no image")
    Image.fromarray(rgb).save(tmp_path / "other.webp")
    clear = np.dstack([rgb, np.full(rgb.shape[:2], 200, np.uint8)])
    cv2.imwrite(str(tmp_path / "clear.png"), clear)  # Python drops the transparency, a canvas cannot
    names = [
        "deep.png",
        "cmyk.jpg",
        "cut.png",
        "cut.jpg",
        "changed.png",
        "empty.png",
        "words.jpg",
        "other.webp",
        "clear.png",
    ]
    for name in names[:-1]:
        with pytest.raises(InputError):
            images.decode_file(tmp_path / name)
    page = opened("single")
    choose(page, "#choose", [tmp_path / name for name in [*names, "whole.png"]])
    until_told(page, "Screened 1 of 10.")
    assert page.inner_text("#problem") == "9 could not be screened; the table says why."
    said = dict(line.split(": ", 1) for line in page.locator("#cases td.says").all_inner_texts() if ": " in line)
    assert sorted(said) == sorted(names)
    assert "16 bits" in said["deep.png"] and "CMYK" in said["cmyk.jpg"] and "transparen" in said["clear.png"]
    assert all("damaged" in said[name] for name in ("cut.png", "cut.jpg", "changed.png"))


def test_what_counts_as_an_image_by_name_is_what_python_counts(opened, tmp_path):
    names = [f"{at}{ending}" for at, ending in enumerate((*walk.SUFFIXES, *walk.NOT_READ, ".txt", ".JPG", ""))]
    names += ["@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "x/@EADIR/c.jpg", "SYNOphoto_thumb_M.jpg", "Thumbnails/i.jpg"]
    names += ["__MACOSX/x/._a.jpg", ".thumbnails/k.jpg", "x/._m.jpg", "x/thumbs.jpg", "my SYNO_THUMB_.jpg"]
    root = tmp_path / "pictures"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    found = opened("single").evaluate(
        """async (paths) => {
            const {images} = await import('./picking.js');
            return images(paths.map((path) => ({path}))).map(({path}) => path);
        }""",
        [f"Thumbnails/{name}" for name in names],  # the folder itself may be called anything
    )
    kept, left_out = walk.images(root)
    not_read = [name for name, reason in left_out if "format that is not read" in reason]
    assert sorted(found) == sorted(f"Thumbnails/{name}" for name in (*kept, *not_read))
    assert {"x/thumbs.jpg", "my SYNO_THUMB_.jpg"} < set(kept) and len(found) == len(names) - 2 - 7


def test_pixels_are_resized_by_the_project_s_one_definition(opened, picture):
    page = opened("single")
    for seed, (height, width, supersampling) in enumerate(
        [(96, 128, 1), (5, 3, 2), (48, 64, 1), (170, 210, 3), (24, 32, 1)]
    ):
        pixels = picture(seed, height, width)
        found = page.evaluate(
            """async ([width, height, rgb, supersampling]) => {
                const {resized} = await import('./pixels.js');
                return Array.from(resized({width, height, rgb}, {height: 24, width: 32}, supersampling));
            }""",
            [width, height, pixels.ravel().tolist(), supersampling],
        )
        expected = resizing.resized(pixels, 24, 32, supersampling)
        np.testing.assert_allclose(np.reshape(found, (24, 32, 3)), expected, atol=2e-3)


def test_a_case_that_lacks_views_is_filled_as_python_fills_it(opened):
    seven = ["acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine"]
    cases = [
        ["acetic.png"],
        ["acetic 10.png", "acetic 9.png", "Lugol.png"],
        ["green.png", "3 acetic.png", "1 acetic.png", "2 acetic.png"],
        ["iodine.png"],
        ["1.png"],
        ["green iodine.png"],
        ["green a.png", "green b.png"],
    ]
    found = opened("visit").evaluate(
        """async ([cases, views]) => {
            const {assignSome, filled, Untold} = await import('./views.js');
            return cases.map((files) => {
                try {
                    const told = assignSome(files, views);
                    return filled(views.map((view) => told.get(view) ?? null), views).map((file) => file ?? "");
                } catch (error) { if (!(error instanceof Untold)) throw error; return null; }
            });
        }""",
        [cases, seven],
    )
    for files, told in zip(cases, found, strict=True):
        if told is None:
            with pytest.raises(InputError):
                views.of_some(files, seven, "x")
        else:
            assert told == views.of_some(files, seven, "x")
    assert found.count(None) == 3


def test_views_are_told_from_names_as_the_importer_tells_them(opened):
    seven = ["acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine"]
    saline = ["saline", "green_saline", "acetic"]
    cases = [
        (seven, [f"IMG ({at}).jpg" for at in (12, 8, 9, 10, 11, 7, 13)]),
        (seven, [f"{at}_acetic.jpg" for at in range(5)] + ["x Green.jpg", "AfterLugol.png"]),
        (seven, ["acetic_3.png", "iodine.png", "green.png", "a.png", "b.png", "c.png", "d.png"]),
        (seven, ["acetic_1.png", "acetic_2.png", *"abcde"]),
        (seven, ["green acetic.png", *"abcdef"]),
        (seven, [f"{at:03d}.jpg" for at in range(7)] + ["8.jpg"]),
        (seven, ["1.jpg", "01.jpg", *"abcde"]),
        (seven, ["Ärztin ٣.jpg", "Ärztin ٢.jpg", "ﬁ 4.jpg", "x.jpg", "Y.jpg", "y2.jpg", "z.jpg"]),
        (saline, ["GreenSaline.png", "saline.png", "acetic.png"]),
        (saline, ["green_saline_2.png", "saline_2.png", "acetic_7.png"]),
    ]
    page = opened("visit")
    found = page.evaluate(
        """async (cases) => {
            const {assign, Untold} = await import('./views.js');
            return cases.map(([views, files]) => {
                try { return Object.fromEntries(assign(files, views)); }
                catch (error) { if (!(error instanceof Untold)) throw error; return null; }
            });
        }""",
        cases,
    )
    refused = 0
    for (names, files), told in zip(cases, found, strict=True):
        try:
            expected = {view: file for file, view in views.assign(files, names, "x").items()}
        except InputError:
            refused, expected = refused + 1, None
        assert told == expected, files
    assert 2 <= refused <= len(cases) - 4
