"""The page in a browser: the numbers of `predict`, nothing sent anywhere, offline, by keys alone."""

import csv
import io
import json
import re
import socket
import time

import cv2
import numpy as np
import pytest

from cervix_tf.data import images, resizing, tables, views
from cervix_tf.errors import InputError
from cervix_tf.export import runtime

READY = "html[data-ready]"
TOLERANCE = 2e-6  # of a probability; JPEG too, since Chromium's decoder is the one that the project has


@pytest.fixture
def opened(chromium, site):
    """opened(name, **options): the page of that model once it is ready, with what it asked for and complained of."""
    contexts = []

    def open_page(name, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.requests, context.errors = [], []
        context.on("request", lambda request: context.requests.append(request.url))
        context.on("weberror", lambda error: context.errors.append(str(error.error)))
        page = context.new_page()
        page.on("console", lambda said: context.errors.append(said.text) if "Refused" in said.text else None)
        page.on("filechooser", lambda _: None)  # so that none opens before it is waited for
        page.goto(f"{site.url}{name}/")
        page.wait_for_selector(READY, state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()


def choose(page, button, files):
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files(files)


def until(page, expression, seconds=20):
    """Wait for a JavaScript expression; Playwright's own way evaluates a string, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"try {{ Boolean({expression}) }} catch {{ false }}"):
        assert time.monotonic() < end, f"{expression}: not within {seconds} s"
        page.wait_for_timeout(50)


def until_told(page, words, where="status"):
    until(page, f"document.getElementById('{where}').textContent.includes({json.dumps(words)})")


def shown(page):
    """The rows of the downloaded table, by the name of the input."""
    with page.expect_download() as download:
        page.click("#download")
    text = download.value.path().read_text(encoding="utf-8")
    return {row["input"]: row for row in csv.DictReader(io.StringIO(text))}


def probabilities(row, classes):
    return [float(row[tables.shielded(f"p_{name}")]) for name in classes]


@pytest.fixture
def pictures(tmp_path, picture):
    """Files of every kind that the page takes, larger and smaller than the network, all of different colors."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rgb = [
        picture(seed, height, width) for seed, (height, width) in enumerate([(96, 128), (11, 17), (301, 200), (48, 64)])
    ]
    cv2.imwrite(str(folder / "rgb.png"), rgb[0])
    cv2.imwrite(str(folder / "small.png"), rgb[1])
    cv2.imwrite(str(folder / "gray.png"), rgb[2][..., 0])
    cv2.imwrite(str(folder / "opaque.png"), cv2.cvtColor(rgb[3], cv2.COLOR_BGR2BGRA))
    cv2.imwrite(str(folder / "photo.jpg"), rgb[2])
    cv2.imwrite(str(folder / "odd.bmp"), rgb[1])
    from PIL import Image

    palette = Image.fromarray(rgb[3]).quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    exif = Image.Exif()
    for orientation in range(2, 9):
        exif[274] = orientation
        Image.fromarray(rgb[0]).save(folder / f"turned_{orientation}.png", exif=exif)
        Image.fromarray(rgb[2]).save(folder / f"turned_{orientation}.jpg", exif=exif, quality=95)
    return sorted(folder.iterdir())


@pytest.mark.parametrize(("place", "variant"), [(0, "float32"), (1, "int8")])
def test_the_page_says_of_single_images_what_predict_says(opened, single_run, pictures, place, variant):
    page = opened("single")
    if place:
        page.check(f"input[name=variant][value='{place}']")
        until_told(page, "int8")
    choose(page, "#choose", pictures)
    until_told(page, f"Screened {len(pictures)} of {len(pictures)}.")
    model = runtime.load(single_run.tflite(variant))
    expected = runtime.probabilities(model, [[str(path)] for path in pictures])
    assert np.ptp(expected, axis=0).min() > 0.1  # the images are told apart
    rows = shown(page)
    for path, row in zip(pictures, expected, strict=True):
        found = rows[path.name]
        np.testing.assert_allclose(probabilities(found, model.contract.classes), row, atol=TOLERANCE, err_msg=path.name)
        assert found["most_probable"] == tables.shielded(model.contract.classes[row.argmax()])
        assert found["arithmetic"] == variant and found["digest"] == model.contract.digest
    assert page.context.errors == []


def visit(folder, picture, names, seed=0):
    folder.mkdir(parents=True)
    for at, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(seed + at))
    return [folder / name for name in names]


def test_a_visit_is_put_in_the_order_that_its_names_tell_and_screened_as_predict_does(
    opened, visit_run, tmp_path, picture
):
    files = visit(tmp_path / "v", picture, ["Lugol.png", "acetic 10.png", "acetic 9.png"])
    page = opened("visit")
    choose(page, "#choose", files)
    assert page.locator(".slot .file").all_inner_texts() == ["acetic 9.png", "acetic 10.png", "Lugol.png"]
    page.fill("#name", "=cmd()")
    page.click("#screen")
    page.wait_for_selector("#result:not([hidden])")
    model = runtime.load(visit_run.tflite())
    (expected,) = runtime.probabilities(model, [[str(files[2]), str(files[1]), str(files[0])]])
    row = shown(page)["'=cmd()"]
    np.testing.assert_allclose(probabilities(row, model.contract.classes), expected, atol=TOLERANCE)
    assert page.inner_text(".decision") == model.contract.classes[expected.argmax()]
    assert page.inner_text(".positive").startswith(
        "Counts as " + ("positive" if expected.argmax() == 0 else "negative")
    )
    assert f"(red) have {100 * expected[0]:.1f}% together" in page.inner_text(".positive")
    assert "ahead of the second" in page.inner_text(".unsure")


def test_a_folder_of_visits_is_screened_at_once_but_for_those_whose_order_nobody_can_tell(
    opened, visit_run, tmp_path, picture
):
    names = ["acetic_1.png", "acetic_2.png", "iodine.png"]
    whole = [visit(tmp_path / "all" / f"case {at}", picture, names, 10 * at) for at in (10, 9)]
    visit(tmp_path / "all" / "case 11", picture, ["acetic.png", "green.png", "iodine.png"])
    visit(tmp_path / "all" / "case 12", picture, names[:2])
    page = opened("visit")
    choose(page, "#folder", tmp_path / "all")
    until_told(page, "Screened 2 of 2.")
    told = page.locator("#cases tbody tr").all_inner_texts()
    assert [re.search(r"case \d+", row)[0] for row in told] == ["case 9", "case 10", "case 11", "case 12"]
    assert "1 names say acetic, 2 should" in told[2] and "2 images in this folder, a visit has 3" in told[3]
    expected = runtime.probabilities(
        runtime.load(visit_run.tflite()), [[str(file) for file in files] for files in whole]
    )
    rows = shown(page)
    assert list(rows) == ["all/case 9", "all/case 10"]
    for name, row in (("all/case 10", expected[0]), ("all/case 9", expected[1])):
        np.testing.assert_allclose(probabilities(rows[name], ("red", "=green", "blue, light")), row, atol=TOLERANCE)


def test_a_visit_is_screened_and_put_in_another_order_by_keys_alone(opened, visit_run, tmp_path, picture):
    files = visit(tmp_path / "v", picture, ["a.png", "b.png", "c.png"])
    page = opened("visit")

    def to(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        raise AssertionError(f"no way to {selector} by the tabulator")

    to("#choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files)
    to(".slot:nth-child(1) [data-act=later]")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.locator(".slot .file").all_inner_texts() == ["b.png", "c.png", "a.png"]
    assert page.inner_text("#status") == "a.png is now: After iodine (Lugol)."
    to("#screen")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden])")
    (expected,) = runtime.probabilities(runtime.load(visit_run.tflite()), [[str(files[at]) for at in (1, 2, 0)]])
    row = shown(page)["Visit 1"]
    np.testing.assert_allclose(probabilities(row, ("red", "=green", "blue, light")), expected, atol=TOLERANCE)
    assert page.inner_text("#status").startswith("Visit 1: ")


def test_an_image_is_dragged_to_its_view_and_an_old_result_is_gone_then(opened, tmp_path, picture):
    page = opened("visit", viewport={"width": 1280, "height": 900})
    choose(page, "#choose", visit(tmp_path / "v", picture, ["a.png", "b.png", "c.png"]))
    page.click("#screen")
    page.wait_for_selector("#result:not([hidden])")
    page.locator(".slot .picture").nth(2).drag_to(page.locator(".slot .picture").nth(0))
    assert page.locator(".slot .file").all_inner_texts() == ["c.png", "a.png", "b.png"]
    assert page.is_hidden("#result") and "not screened yet" in page.inner_text("#cases tbody")


def test_one_image_after_the_other_goes_to_the_view_that_its_name_says(opened, tmp_path, picture):
    files = visit(tmp_path / "v", picture, ["iodine.png", "x.png", "acetic_2.png"])
    page = opened("visit")
    choose(page, "#choose", files[0])
    assert "After acetic acid, image 1, After acetic acid, image 2" in page.inner_text("#status")
    assert page.is_disabled("#screen")
    choose(page, "#choose", files[2])
    choose(page, ".slot:nth-child(1) [data-act=pick]", files[1])
    assert page.locator(".slot .file").all_inner_texts() == ["x.png", "acetic_2.png", "iodine.png"]
    assert page.is_enabled("#screen")


def test_the_graphics_processor_is_taken_only_if_it_computes_the_same(launch, site, single_run, pictures):
    flags = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--use-vulkan=swiftshader")
    script = site.folder / "single" / "network.js"
    browser = launch(*flags, "--enable-features=Vulkan")
    for difference, taken in (("1e-3", True), ("-1", False)):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub("(MOST_DIFFERENCE) = .*?;", rf"\1 = {difference};", text), encoding="utf-8")
        page = browser.new_context().new_page()
        page.goto(f"{site.url}single/")
        page.wait_for_selector(READY, state="attached")
        if page.is_hidden("#graphics"):
            pytest.skip("needs a Chromium with SwiftShader's WebGPU")
        assert not page.is_checked("#webgpu")
        choose(page, "#choose", pictures[0])
        until_told(page, "ahead of")
        page.check("#webgpu", force=True)
        until_told(page, "Ready: ")
        assert page.is_checked("#webgpu") == taken
        assert ("is not used" in page.inner_text("#problem")) != taken
        (expected,) = runtime.probabilities(runtime.load(single_run.tflite()), [[str(pictures[0])]])
        (row,) = shown(page).values()
        np.testing.assert_allclose(probabilities(row, ("red", "=green", "blue, light")), expected, atol=1e-3)


def test_the_page_asks_no_other_server_for_anything_and_cannot(opened, site, pictures):
    page = opened("single")
    choose(page, "#choose", pictures[0])
    page.wait_for_selector("#result:not([hidden])")
    until(page, "navigator.serviceWorker.controller !== null")
    asked = page.context.requests
    assert len(asked) > 20 and all(url.startswith((site.url, f"blob:{site.url}")) for url in asked)
    other = socket.create_server(("127.0.0.1", 0))
    other.settimeout(1)
    outside = f"http://127.0.0.1:{other.getsockname()[1]}/"  # not localhost, so another origin
    for attempt in (
        f"fetch('{outside}')",
        f"fetch('{outside}', {{mode: 'no-cors', method: 'POST', body: 'x'}})",
        f"new Promise((_, no) => {{const i = new Image(); i.onerror = no; i.src = '{outside}'}})",
        f"new Promise((_, no) => {{const s = new WebSocket('{outside.replace('http', 'ws')}'); s.onerror = no}})",
    ):
        assert page.evaluate(f"{attempt}.then(() => 'sent', () => 'blocked')") == "blocked"
    page.evaluate(f"navigator.sendBeacon('{outside}', 'x')")
    with other, pytest.raises(TimeoutError):
        other.accept()


def test_the_page_works_without_a_network_after_its_first_load(opened, site, pictures):
    page = opened("single")
    until_told(page, "Kept on this device", "offline")
    site.stop()
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector(READY, state="attached")
    for place in (0, 1):
        page.check(f"input[name=variant][value='{place}']")
        choose(page, "#choose", pictures[0])
        page.wait_for_selector("#result:not([hidden])")
    assert page.context.errors == []


def test_a_browser_may_install_the_page(opened):
    page = opened("visit")
    until(page, "navigator.serviceWorker.controller !== null")
    session = page.context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == [] and json.loads(manifest["data"])["name"] == "colored visits - screening page"
    # A window without a profile is never offered an installation; nothing else may stand in its way.
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {each["errorId"] for each in errors} <= {"in-incognito"}


def test_another_version_of_the_page_takes_the_place_of_the_one_that_was_kept(opened, site, visit_run):
    from cervix_tf.app import folder

    page = opened("single")
    until(page, "navigator.serviceWorker.controller !== null")
    folder.write(visit_run.root, site.folder / "single")
    page.reload()
    page.wait_for_selector("h1:has-text('colored visits')")  # the page has loaded itself once more
    page.wait_for_selector(READY, state="attached")


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


def test_images_that_are_chosen_while_the_model_loads_are_screened_once_it_is_there(chromium, site, pictures):
    page = chromium.new_context().new_page()
    page.on("filechooser", lambda _: None)
    page.goto(f"{site.url}single/", wait_until="domcontentloaded")
    until(page, "document.getElementById('choose').onclick")
    choose(page, "#choose", pictures[0])
    until_told(page, "ahead of")


def test_a_browser_that_changes_pixels_is_told_so_and_screens_nothing(chromium, site, pictures):
    page = chromium.new_context().new_page()
    page.on("filechooser", lambda _: None)
    page.add_init_script("""const read = CanvasRenderingContext2D.prototype.getImageData;
        CanvasRenderingContext2D.prototype.getImageData = function (...where) {
            const found = read.apply(this, where);
            found.data[5] ^= 1;
            return found;
        };""")
    page.goto(f"{site.url}single/")
    page.wait_for_selector(READY, state="attached")
    choose(page, "#choose", pictures[0])
    page.wait_for_timeout(500)
    assert "changes the pixels of images" in page.inner_text("#problem") and page.is_hidden("#result")


def test_a_model_file_that_was_changed_on_the_server_is_refused(opened, chromium, site):
    path = site.folder / "single" / "int8.tflite"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    page = opened("single")
    page.check("input[name=variant][value='1']")
    until_told(page, "updated meanwhile", "problem")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_or_faint_and_everything_has_a_name(opened, tmp_path, picture, width, scheme):
    page = opened("visit", viewport={"width": width, "height": 844}, color_scheme=scheme)
    choose(page, "#choose", visit(tmp_path / "v", picture, ["a.png", "b.png", "c.png"]))
    page.click("#screen")
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    unnamed = """() => {
        const named = {
            button: (each) => each.ariaLabel || each.textContent.trim(),
            'input:not([hidden])': (each) => each.labels.length,
            img: (each) => each.hasAttribute('alt'),
            progress: (each) => each.ariaLabel,
        };
        const without = ([selector, name]) => [...document.querySelectorAll(selector)].filter((each) => !name(each));
        return Object.entries(named).flatMap(without).map((each) => each.outerHTML);
    }"""
    assert page.evaluate(unnamed) == []
    assert page.locator("[aria-live], [role=alert]").count() == 2
    faint = page.evaluate(
        """() => {
            const luminance = (color) => {
                const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
                const [r, g, b] = parts.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = (each) => {
                for (let at = each; at; at = at.parentElement) {
                    const color = getComputedStyle(at).backgroundColor;
                    if (!color.startsWith('rgba') && color !== 'transparent') return color;
                }
                return 'rgb(255, 255, 255)';
            };
            const texts = [...document.querySelectorAll('body *')].filter((each) =>
                [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
                && each.checkVisibility() && !each.disabled && !each.closest('.heard, template, noscript, option'));
            return texts.filter((each) => {
                const [one, other] = [getComputedStyle(each).color, ground(each)].map(luminance).sort((a, b) => b - a);
                return (one + 0.05) / (other + 0.05) < 4.5;
            }).map((each) => each.outerHTML.slice(0, 200));
        }"""
    )
    assert faint == []
