"""The page as a folder of files, and the server of it, without a browser."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from cervix_tf import atomic
from cervix_tf.app import __main__ as command
from cervix_tf.app import folder, server
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, flatbuffer, runtime, web
from cervix_tf.run_dir import RunDir, write_json


def models(page):
    """What the page in this folder knows of its models."""
    return json.loads((page / "app.json").read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize("variant", ["float32", "int8"])
@pytest.mark.parametrize("name", ["single_run", "visit_run"])
def test_the_network_of_the_page_computes_what_the_exported_file_does(request, name, variant):
    path = request.getfixturevalue(name).tflite(variant)
    model = web.static(path.read_bytes())
    (signature,) = flatbuffer.unpacked(model).signatureDefs
    assert len(flatbuffer.unpacked(model).subgraphs) == 1 and signature.signatureKey == b"one"
    assert len(model) < path.stat().st_size and "SHAPE" not in flatbuffer.operators(model)
    interpreter = Interpreter(model_content=model)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert taken["shape_signature"].tolist() == taken["shape"].tolist()  # nothing is left open
    interpreter.allocate_tensors()
    for seed in range(3):
        pixels = np.random.default_rng(seed).uniform(0, 255, taken["shape"]).astype(np.float32)
        interpreter.set_tensor(taken["index"], pixels)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_tensor(given["index"]), runtime.load(path).run(pixels))


def test_the_page_is_a_folder_that_knows_its_files_and_says_what_its_model_is(visit_run, single_run, tmp_path):
    version = folder.write(visit_run.root, tmp_path / "page")
    page = tmp_path / "page"
    files = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    worker = (page / "worker.js").read_text(encoding="utf-8")
    kept = set(json.loads(re.search(r"FILES = (\[.*\])", worker)[1]))
    assert kept == {"./", *files} - {"worker.js", ".cervix_tf"} and version in worker
    for each in models(page):
        assert each["file"] == f"{each['name']}-{each['sha256'][:16]}.tflite"
        assert hashlib.sha256((page / each["file"]).read_bytes()).hexdigest() == each["sha256"]
        assert each["digest"] == associated_files.read(visit_run.tflite(each["name"])).contract.digest
    html = (page / "index.html").read_text(encoding="utf-8")
    assert "Not a medical device" in html and "Tests &lt;b&gt;only&lt;/b&gt;." in html
    assert folder.write(visit_run.root, page) == version  # the same again, in its place
    folder.write(single_run.root, page)
    assert {path.name for path in page.glob("*.tflite")} == {each["file"] for each in models(page)}


def test_every_text_of_the_page_has_one_home_and_is_used():
    texts = json.loads((folder.WEB / "strings.json").read_text(encoding="utf-8"))
    html = (folder.WEB / "index.html").read_text(encoding="utf-8")
    scripts = "".join(path.read_text(encoding="utf-8") for path in folder.WEB.glob("*.js"))
    python = Path(folder.__file__).read_text(encoding="utf-8")
    named = {*re.findall(r"\bt\.(\w+)", html), *re.findall(r'texts\["(\w+)"\]', python)}
    assert named <= set(texts)
    made = re.compile("(variant|view|about)_.*|.*_case")  # from the name of a variant, a view or an act
    unused = [key for key in texts if key not in named and f'"{key}"' not in scripts and not made.fullmatch(key)]
    assert unused == []
    assert set(re.findall(r'\b(?:text|Refused|Untold)\("(\w+)"', scripts)) <= set(texts)


def test_a_translation_is_taken_whole_or_refused(single_run, tmp_path):
    texts = json.loads((folder.WEB / "strings.json").read_text(encoding="utf-8"))
    german = tmp_path / "de.json"
    write_json(german, {**texts, "lang": "de", "images": "Bilder"})
    folder.write(single_run.root, tmp_path / "page", german)
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert '<html lang="de"' in html and ">Bilder</h2>" in html
    write_json(german, {key: value for key, value in texts.items() if key != "images"})
    with pytest.raises(InputError, match=r"de\.json: lacks 'images'"):
        folder.write(single_run.root, tmp_path / "page", german)
    write_json(german, {**texts, "missing": "Es fehlt: {bilder}."})
    with pytest.raises(InputError, match=r"'missing' has \['bilder'\] in braces"):
        folder.write(single_run.root, tmp_path / "page", german)


def test_what_the_page_cannot_show_is_refused_before_anything_is_written(single_run, visit_run, tmp_path):
    target = tmp_path / "page"
    with pytest.raises(InputError, match="no such run or file"):
        folder.write(tmp_path / "nothing", target)
    with pytest.raises(InputError, match=r"cervix_tf\.export .* --formats web-float32 web-int8"):
        folder.write(tmp_path, target)
    contract, _ = associated_files.read(single_run.tflite())
    embeddings = tmp_path / "embeddings.tflite"
    model = web.static(single_run.tflite().read_bytes())
    embeddings.write_bytes(associated_files.appended(model, replace(contract, neighbors="0" * 64)))
    with pytest.raises(InputError, match="gives embeddings"):
        folder.write(embeddings, target)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "model.tflite").write_bytes(single_run.tflite().read_bytes())
    (mixed / "model_int8.tflite").write_bytes(visit_run.tflite("int8").read_bytes())
    with pytest.raises(InputError, match="different models"):
        folder.write(mixed, target)
    assert not target.exists()
    target.mkdir()
    (target / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds 'mine\.txt'"):
        folder.write(single_run.root, target)


def test_a_folder_that_another_command_of_ours_wrote_is_no_page_and_stays(single_run, tmp_path):
    """As `evaluate` leaves it: every file in it is listed as this program's."""
    atomic.claim(tmp_path / "evaluation", ["metrics.json"])
    (tmp_path / "evaluation" / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="evaluation: already exists and would be lost"):
        folder.write(single_run.root, tmp_path / "evaluation")
    assert (tmp_path / "evaluation" / "metrics.json").exists()
    folder.write(single_run.root, tmp_path / "page")
    assert folder.write(single_run.root, tmp_path / "page"), "a page is replaced"


def test_one_exported_file_is_enough_and_what_the_export_measured_of_it_is_known(single_run, tmp_path):
    run = RunDir(tmp_path / "run")
    run.root.mkdir()
    shutil.copy(single_run.tflite("int8"), run.tflite("int8"))
    rows = [("tflite-float32", "model.tflite", 0.5), ("tflite-int8", "model_int8.tflite", 0.07)]
    write_json(run.exports, [dict(zip(("format", "file", "widest_change"), row, strict=True)) for row in rows])
    folder.write(run.tflite("int8"), tmp_path / "page")
    (model,) = models(tmp_path / "page")
    assert (model["name"], model["widest_change"]) == ("int8", 0.07)


@pytest.mark.parametrize(
    ("file", "name", "label"),
    [
        ("model.tflite", "float32", "Full precision (float32)"),
        ("web_int8.tflite", "int8", "8 bits (int8)"),
        ("model_dynamic.tflite", "dynamic", "8-bit weights (dynamic)"),
        ("cells.tflite", "unknown", "Precision not known (renamed file)"),
    ],
)
def test_a_file_s_precision_is_said_by_the_name_that_the_export_gave_it(single_run, tmp_path, file, name, label):
    shutil.copy(single_run.tflite("int8"), tmp_path / file)
    folder.write(tmp_path / file, tmp_path / "page")
    assert [model["name"] for model in models(tmp_path / "page")] == [name]
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert re.search(r'name="variant" [^>]*> ([^<:]*)', html)[1].strip() == label


def test_a_file_for_images_of_one_size_is_refused_by_name(single_run, tmp_path):
    whole = flatbuffer.unpacked(web.static(single_run.tflite().read_bytes()))
    whole.signatureDefs[0].signatureKey = b"sized"
    contract, _ = associated_files.read(single_run.tflite())
    (tmp_path / "mobile_float32.tflite").write_bytes(associated_files.appended(flatbuffer.packed(whole), contract))
    with pytest.raises(InputError, match=r"mobile_float32\.tflite: .* give the run, or its file of a tflite-\*"):
        folder.write(tmp_path / "mobile_float32.tflite", tmp_path / "page")


def test_the_server_is_this_machine_s_alone_and_sends_the_policy_with_every_file(single_run, tmp_path):
    folder.write(single_run.root, tmp_path / "page")
    with server.start(tmp_path, 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        assert serving.server_address[0] == "127.0.0.1"
        root = f"http://localhost:{serving.server_port}/page/"
        for name, kind in (("", "text/html"), ("litert/litert_wasm_compat_internal.wasm", "application/wasm")):
            with urllib.request.urlopen(root + name) as answer:
                assert answer.headers["Content-Type"] == kind
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(root + "litert/")
        with pytest.raises(InputError, match=r"--port .* choose another one"):
            server.start(tmp_path, serving.server_port)
        serving.shutdown()


def test_the_command_writes_the_folder_or_serves_it(single_run, tmp_path):
    words = [sys.executable, "-m", "cervix_tf.app", str(single_run.root)]
    done = subprocess.run([*words, "--out", str(tmp_path / "page")], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "page" / "index.html").is_file(), done.stderr
    with subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True) as serving:
        url = re.match(r"(http://localhost:\d+/\w+/) ", serving.stdout.readline())[1]
        with urllib.request.urlopen(url) as answer:
            assert "<h1>colors</h1>" in answer.read().decode()
        serving.terminate()


def test_ending_the_server_as_it_says_is_no_interruption(single_run, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(server.ThreadingHTTPServer, "serve_forever", interrupted)
    command.main([str(single_run.root), "--port", "0"])
    printed = capsys.readouterr()
    assert "(end with Ctrl-C)" in printed.out and "interrupted" not in printed.err
