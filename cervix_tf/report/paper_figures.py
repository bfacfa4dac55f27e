"""The paper's figures drawn from a run, as files of its own and for its page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict

from cervix_tf import atomic, run_dir
from cervix_tf.errors import InputError
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir


def write(run: RunDir, drawn: Mapping[str, Picture | None]) -> None:
    """Write each picture to the run's figures by its name (`Fig. 6` -> `fig_6.svg`), and their list.

    A picture that is None, since nothing was measured for it, is left out.
    """
    listed = []
    for name, picture in drawn.items():
        if picture is None:
            continue
        kind, _, data = picture.source.partition(",")
        ending = "svg" if "svg" in kind else "jpg"
        file = "_".join(name.lower().replace(".", "").split()) + f".{ending}"
        with atomic.replacing(run.figures / file) as part:
            part.write_bytes(base64.b64decode(data))
        listed.append({"name": name, **asdict(picture)} | {"source": file})
    run_dir.write_json(run.paper_figures, listed)


def read(run: RunDir, *, photographs: bool = True) -> list[tuple[str, Picture]]:
    """Name and picture of each figure that `write` wrote, or of the drawings alone; none where it never did.

    Raises `InputError` when a listed file is missing.
    """
    if not run.paper_figures.exists():
        return []
    found = []
    for each in run_dir.read_json(run.paper_figures):
        path = run.figures / each["source"]
        if not path.is_file():
            raise InputError(f"{path}: is listed in {run.paper_figures} but missing; run the study's command again")
        if path.suffix != ".svg" and not photographs:
            continue
        kind = "svg+xml" if path.suffix == ".svg" else "jpeg"
        source = f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        found.append((each["name"], Picture(source, each["alt"], each["caption"])))
    return found


def is_roc(picture: Picture) -> bool:
    """Whether `figures.roc` drew it, now or for an earlier run."""
    return picture.alt.startswith("ROC, ")
