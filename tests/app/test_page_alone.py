"""The page on its own: nothing sent anywhere, offline, installed, of one version, on processors it can trust."""

import json
import re
import socket

import numpy as np
import pytest

from cervix_tf.app import folder
from cervix_tf.export import runtime
from cervix_tf.run_dir import read_json, write_json
from tests.app.browsing import READY, choose, probabilities, shown, until, until_told


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
    until_told(page, "Stored on this device", "offline")
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
    page = opened("single")
    until(page, "navigator.serviceWorker.controller !== null")
    folder.write(visit_run.root, site.folder / "single")
    page.reload()
    page.wait_for_selector("h1:has-text('colored visits')")  # the page has loaded itself once more
    page.wait_for_selector(READY, state="attached")


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


def test_a_model_file_that_was_changed_on_the_server_is_refused(opened, site):
    (path,) = (site.folder / "single").glob("int8-*.tflite")
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    page = opened("single")
    page.check("input[name=variant][value='1']")
    until_told(page, "updated in the meantime", "problem")


def test_a_page_that_was_replaced_on_the_server_takes_no_other_model_over_plain_http(chromium, site, visit_run):
    page = chromium.new_context(service_workers="block").new_page()
    page.add_init_script("Object.defineProperty(Crypto.prototype, 'subtle', {value: undefined})")
    page.goto(f"{site.url}single/")
    page.wait_for_selector(READY, state="attached")
    folder.write(visit_run.root, site.folder / "single")
    page.check("input[name=variant][value='1']")
    until_told(page, "updated in the meantime", "problem")


def test_a_model_is_not_run_by_the_contract_of_another(opened, site, pictures):
    path = site.folder / "single" / "contract.json"
    contract = read_json(path)
    write_json(path, {**contract, "classes": contract["classes"][::-1], "digest": "0" * 64})
    page = opened("single")
    until_told(page, "updated in the meantime", "problem")
    choose(page, "#choose", pictures[0])
    page.wait_for_timeout(500)
    assert "updated in the meantime" in page.inner_text("#problem") and page.is_hidden("#result")
