"""The page in a browser: the numbers of `predict`, views in order, keys alone, at both widths."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.app import folder
from cervix_tf.data import tables
from cervix_tf.export import runtime
from cervix_tf.run_dir import read_json, write_json
from tests.app.browsing import TOLERANCE, choose, probabilities, shown, until, until_told, visit
from tests.app.conftest import VISITS, exported


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
    score, called = model.contract.operating_point.called(expected, [0])
    assert 0 < called.sum() < len(called)
    rows = shown(page)
    for path, row, together, yes in zip(pictures, expected, score, called, strict=True):
        found = rows[path.name]
        assert found["positive"] == ("true" if yes else "false")
        np.testing.assert_allclose(float(found["score"]), together, atol=TOLERANCE)
        np.testing.assert_allclose(probabilities(found, model.contract.classes), row, atol=TOLERANCE, err_msg=path.name)
        assert found["most_probable"] == tables.shielded(model.contract.classes[row.argmax()])
        assert found["arithmetic"] == variant and found["digest"] == model.contract.digest
    words = page.inner_text(".positive")
    assert words.startswith("Counts as ") and words.endswith("(chosen on validation images: sensitivity:0.9).")
    assert page.context.errors == []


@pytest.mark.parametrize("name", ["blood-cells", "cric-cells"])
def test_the_page_says_with_a_released_model_what_predict_says(opened, site, pictures, name):
    folder.write(Path(name), site.folder / name)
    page = opened(name)
    choose(page, "#choose", pictures)
    until_told(page, f"Screened {len(pictures)} of {len(pictures)}.")
    model = runtime.load(Path(name))
    expected = runtime.probabilities(model, [[str(path)] for path in pictures])
    rows = shown(page)
    for path, row in zip(pictures, expected, strict=True):
        found = probabilities(rows[path.name], model.contract.classes)
        np.testing.assert_allclose(found, row, atol=1e-4, err_msg=path.name)  # 53 layers round more than the tests' one
    assert page.context.errors == []


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
    assert "1 file names match acetic, expected 2" in told[2] and "2 images in this folder; a visit has 3" in told[3]
    expected = runtime.probabilities(
        runtime.load(visit_run.tflite()), [[str(file) for file in files] for files in whole]
    )
    rows = shown(page)
    assert list(rows) == [f"all/case {at}" for at in (9, 10, 11, 12)]
    assert [row["problem"] for row in rows.values()][:2] == ["", ""]
    assert "1 file names match acetic, expected 2" in rows["all/case 11"]["problem"]
    without = {name: cell for name, cell in rows["all/case 12"].items() if cell}
    assert without == {"input": "all/case 12", "problem": "2 images in this folder; a visit has 3"}
    for name, row in (("all/case 10", expected[0]), ("all/case 9", expected[1])):
        np.testing.assert_allclose(probabilities(rows[name], ("red", "=green", "blue, light")), row, atol=TOLERANCE)


def test_a_visit_that_lacks_views_is_screened_where_the_model_works_without_them(opened, site, tmp_path, picture):
    run = exported(tmp_path / "run", replace(VISITS, missing_views=True))
    folder.write(run.root, site.folder / "any")
    (first,) = visit(tmp_path / "all" / "a", picture, ["acetic.png"])
    (second,) = visit(tmp_path / "all" / "b", picture, ["Lugol.png"], 5)
    page = opened("any")
    assert "may stay empty" in page.inner_text("#order-help") and page.is_disabled("#screen")
    choose(page, "#folder", tmp_path / "all")
    until_told(page, "Screened 2 of 2.")
    model = runtime.load(run.tflite())
    expected = runtime.probabilities(model, [[str(first), str(first), ""], ["", "", str(second)]])
    rows = shown(page)
    for name, row in zip(("all/a", "all/b"), expected, strict=True):
        np.testing.assert_allclose(probabilities(rows[name], model.contract.classes), row, atol=TOLERANCE)
    assert [rows["all/b"][view] for view in VISITS.views] == ["", "", "Lugol.png"]
    said = page.inner_text("#result .of")
    assert said == "all/b, without: After acetic acid, image 1, After acetic acid, image 2"

    page.click("#next")
    choose(page, "#choose", first)
    assert "Without an image: After acetic acid, image 2, After iodine (Lugol)." in page.inner_text("#status")
    page.click("#screen")
    page.wait_for_selector("#result:not([hidden])")
    np.testing.assert_allclose(
        probabilities(shown(page)["Visit 1"], model.contract.classes), expected[0], atol=TOLERANCE
    )
    (black,) = visit(tmp_path / "all" / "c", picture, ["Lugol.png"])
    cv2.imwrite(str(black), np.zeros((12, 9, 3), np.uint8))
    choose(page, "#folder", black.parent)
    until(page, "document.querySelector('#cases').innerText.includes('Lugol.png: all black')")
    assert shown(page)["c"]["problem"] == "Lugol.png: all black, which stands for a missing view; leave it out"
    assert page.context.errors == []


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


def test_a_finger_drags_an_image_by_its_handle_and_scrolls_elsewhere(opened, tmp_path, picture):
    page = opened("visit", viewport={"width": 390, "height": 1400}, has_touch=True, is_mobile=True)
    choose(page, "#choose", visit(tmp_path / "v", picture, ["a.png", "b.png", "c.png"]))
    touch = page.context.new_cdp_session(page)

    def drag(start, end):
        middles = []
        for selector in (start, end):
            box = page.locator(selector).bounding_box()
            middles.append({"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2})
        for kind, points in (("touchStart", middles[:1]), ("touchMove", middles[1:]), ("touchEnd", [])):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        return page.locator(".slot .file").all_inner_texts()

    assert drag(".slot:nth-child(1) .picture", ".slot:nth-child(2) .picture") == ["a.png", "b.png", "c.png"]
    page.evaluate("scrollTo(0, 0)")
    assert drag(".slot:nth-child(1) .handle", ".slot:nth-child(2) .picture") == ["b.png", "a.png", "c.png"]


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


def test_images_that_are_chosen_while_the_model_loads_are_screened_once_it_is_there(chromium, site, pictures):
    page = chromium.new_context().new_page()
    page.on("filechooser", lambda _: None)
    page.goto(f"{site.url}single/", wait_until="domcontentloaded")
    until(page, "document.getElementById('choose').onclick")
    choose(page, "#choose", pictures[0])
    until_told(page, "ahead of")


def hold_images(page):
    """Decode no image until the page is told `go()`."""
    page.evaluate("""() => {
        const decode = createImageBitmap;
        const told = new Promise((done) => (window.go = done));
        window.createImageBitmap = async (...given) => (await told, decode(...given));
    }""")


def test_an_image_goes_to_the_visit_it_was_chosen_for_whatever_ends_meanwhile(opened, tmp_path, picture):
    names = ["acetic_1.png", "acetic_2.png", "iodine.png"]
    (other,) = visit(tmp_path / "w", picture, ["other.png"], 9)
    page = opened("visit")
    hold_images(page)
    choose(page, "#choose", visit(tmp_path / "v", picture, names))
    page.click("#screen")
    page.click("#next")
    with page.expect_file_chooser() as chooser:
        page.click(".slot:nth-child(1) [data-act=pick]")
    page.evaluate("go()")
    until_told(page, "Visit 1: ")
    chooser.value.set_files(other)
    assert page.locator(".slot .file").all_inner_texts() == ["other.png", "", ""]
    assert page.input_value("#name") == "Visit 2" and page.is_hidden("#result")
    first, second = (shown(page)[name] for name in ("Visit 1", "Visit 2"))
    assert [first[view] for view in VISITS.views] == names and first["most_probable"] and not first["problem"]
    assert [second[view] for view in VISITS.views] == ["other.png", "", ""] and second["problem"] == "not screened yet"


def test_a_name_that_is_being_typed_is_that_of_its_visit_whatever_ends_meanwhile(opened, tmp_path, picture):
    page = opened("visit")
    hold_images(page)
    choose(page, "#choose", visit(tmp_path / "v", picture, ["acetic_1.png", "acetic_2.png", "iodine.png"]))
    page.click("#screen")
    page.click("#next")
    choose(page, "#choose", visit(tmp_path / "w", picture, ["iodine.png"]))
    page.fill("#name", "Ann")
    page.evaluate("go()")
    until_told(page, "Visit 1: ")
    page.press("#name", "Tab")
    assert page.locator("#cases th[scope=row]").all_inner_texts() == ["Visit 1", "Ann"]


def test_the_visit_that_was_shown_at_the_click_is_screened_though_the_model_loads_long(
    chromium, site, tmp_path, picture
):
    page, held = chromium.new_context(service_workers="block").new_page(), []
    page.on("filechooser", lambda _: None)
    page.route("**/*.tflite", lambda route, _: held.append(route))
    page.goto(f"{site.url}visit/", wait_until="domcontentloaded")
    until(page, "document.getElementById('choose').onclick")
    choose(page, "#choose", visit(tmp_path / "v", picture, ["acetic_1.png", "acetic_2.png", "iodine.png"]))
    page.click("#screen")
    page.click("#next")
    while not held:
        page.wait_for_timeout(50)
    held.pop().continue_()
    until_told(page, "Visit 1: ")
    assert page.input_value("#name") == "Visit 2" and page.is_hidden("#result")
    (row,) = shown(page).values()
    assert row["input"] == "Visit 1" and row["most_probable"]


def test_a_folder_that_is_done_leaves_the_user_at_the_visit_they_went_to(opened, tmp_path, picture):
    names = ["acetic_1.png", "acetic_2.png", "iodine.png"]
    for name in ("a", "b"):
        visit(tmp_path / "all" / name, picture, names)
    page = opened("visit")
    hold_images(page)
    choose(page, "#folder", tmp_path / "all")
    until_told(page, "Screening all/a")
    page.click("#next")
    page.evaluate("go()")
    until_told(page, "Screened 2 of 2.")
    assert page.input_value("#name") == "Visit 1" and page.is_hidden("#result")


def test_the_page_says_that_names_told_the_order_only_where_they_did(opened, tmp_path, picture):
    page = opened("visit")
    choose(page, "#choose", visit(tmp_path / "v", picture, ["a.png", "b.png", "c.png"]))
    assert page.inner_text("#status").startswith("The file names do not say which view each image is")
    page.click("#next")
    choose(page, "#choose", visit(tmp_path / "w", picture, ["acetic_1.png", "acetic_2.png", "iodine.png"]))
    assert page.inner_text("#status").startswith("Images were assigned to views by file name")


def test_a_score_and_its_threshold_are_told_with_the_decimals_that_tell_them_apart(opened, site, single_run, pictures):
    model = runtime.load(single_run.tflite())
    expected = runtime.probabilities(model, [[str(pictures[0])]])
    score = float(model.contract.operating_point.called(expected, [0])[0][0])
    path = site.folder / "single" / "contract.json"
    contract = read_json(path)
    write_json(path, {**contract, "operating_point": {**contract["operating_point"], "threshold": score + 2e-5}})
    page = opened("single")
    choose(page, "#choose", pictures[0])
    until_told(page, "ahead of")
    words = page.inner_text(".positive")
    told, threshold = (float(number) for number in re.findall(r"([\d.]+)%", words))
    assert words.startswith("Counts as negative") and told < threshold
    np.testing.assert_allclose([told, threshold], [100 * score, 100 * score + 2e-3], atol=1e-3)
    pairs = "[[0.25, 0.5], [0.00096, 0.001], [0.0004, 0.0004]].map((pair) => apart(...pair))"
    assert page.evaluate(f"import('./text.js').then(({{apart}}) => {pairs})") == [
        ["25.0%", "50.0%"],
        ["0.096%", "0.100%"],
        ["0.04%", "0.04%"],
    ]


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
