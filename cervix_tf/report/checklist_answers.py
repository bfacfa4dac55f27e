"""What a run's files say to the items of a reporting guideline: where and, in short, what; empty where they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cervix_tf.metrics import limits
from cervix_tf.report import formatting, summary_cards
from cervix_tf.report.data_counts import Counts

MISSING = "Not reported: "
"""Begins what an answer leaves open."""


@dataclass(frozen=True)
class Facts:
    """What a run's files say; each is empty where there is no such file."""

    metrics: Mapping[str, Any]
    contract: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    """Dotted name -> text, as the report shows it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    counts: Counts | None = None
    audit: Sequence[Mapping[str, Any]] = ()
    exports: Sequence[Mapping[str, Any]] = ()
    heat_maps: str = ""
    """Caption of the report's heat maps."""
    cases: bool = True
    """Whether the predictions of every case are kept."""
    ages: int = 0
    """Images of the manifest that have an age."""
    sites: Sequence[str] = ()
    """Sites of the manifest's images."""
    gate: bool = False
    """Whether the model has a quality gate."""

    @property
    def point(self) -> Mapping[str, Any]:
        """The operating point with its threshold; empty where the most probable class decides."""
        found = self.metrics.get("operating_point") or {}
        return found if found.get("threshold") is not None else {}

    @property
    def positive(self) -> Sequence[str]:
        """Classes that count as positive."""
        return (self.metrics.get("binary") or {}).get("positive") or ()


def _data_source(facts: Facts) -> str:
    said = facts.metrics.get("data") or facts.contract.get("data")
    marks = [word for word in ("synthetic", "stand_in") if facts.metrics.get(word) or facts.contract.get(word)]
    kind = {"synthetic": " Drawn by a program.", "stand_in": " Stand-in for the paper's data."}
    return f"{said}.{''.join(kind[word] for word in marks)} (Model card, Data)" if said else ""


def _outcome(facts: Facts) -> str:
    classes = ", ".join(facts.metrics["classes"])
    positive = f"; positive: {', '.join(facts.positive)}" if facts.positive else ""
    return f"Classes {classes}{positive}."


def _numbers(facts: Facts) -> str:
    if facts.counts is None:
        n, groups = facts.metrics.get("n"), facts.metrics.get("groups")
        return f"{n} test cases of {groups} groups." if n else ""
    whole = facts.counts.rows[-1][1]
    splits = ", ".join(f"{name} {count.images}" for name, count in zip(facts.counts.splits, whole, strict=True))
    return f"Images: {splits}; by class in the report, Data."


def _partitions(facts: Facts) -> str:
    protocol = facts.config.get("protocol", "")
    shares = [
        f"{name.replace('_', ' ')} {facts.config[name]}"
        for name in ("validation_share", "test_share")
        if name in facts.config
    ]
    if facts.counts is None:
        return ""
    said = [*([f"protocol {protocol}"] if protocol else []), *shares, "each image's split in manifest.csv"]
    return f"{_numbers(facts)} {_begun(', '.join(said))}."


def _begun(text: str) -> str:
    """With a capital letter first, the rest as it is."""
    return f"{text[:1].upper()}{text[1:]}"


def _disjoint(facts: Facts) -> str:
    if facts.counts is None or not facts.counts.groups:
        return ""
    shared = len(facts.counts.shared_groups) or "none"
    return f"{facts.counts.groups} groups (women, visits, slides or fields), {shared} in more than one partition."


def _preparation(facts: Facts) -> str:
    height, width = facts.contract.get("height"), facts.contract.get("width")
    if not height:
        return ""
    checks = f" Audit: {_found(facts)}." if facts.audit else ""
    augmented = "; augmentation in config.json" if facts.config else ""
    return f"Resized to {width} x {height} pixels inside the model{augmented}.{checks}"


def _missing_data(facts: Facts) -> str:
    damaged = facts.config.get("damaged") or facts.config.get("data.damaged")
    if not damaged:
        return ""
    how = {"fail": "Damaged images end a run", "skip": "Damaged images are left out"}.get(damaged, damaged)
    unlabeled = facts.metrics.get("unlabeled")
    return f"{how}; audit: {_found(facts)}; {unlabeled or 0} test cases without a label."


def _found(facts: Facts) -> str:
    return ", ".join(f"{each['kind']} {each['count']}" for each in facts.audit) or "nothing found"


def _input(facts: Facts) -> str:
    if not facts.contract:
        return ""
    views = facts.contract.get("views") or ()
    given = f"{len(views)} views ({', '.join(views)})" if views else "one image"
    return f"Only pixels: {given}. (contract.json)"


def _model(facts: Facts) -> str:
    network = facts.config.get("network", "")
    if not facts.contract:
        return ""
    name = ", network ".join(part for part in (str(facts.contract.get("task", "")), network) if part)
    made = "every setting in config.json, the graph in model.keras, its " if facts.config else ""
    return f"{name}; {made}input and output in contract.json."


def _training(facts: Facts) -> str:
    epochs = [f"{name} {text}" for name, text in facts.config.items() if name.split(".")[-1] == "epochs"]
    rest = f": {', '.join(epochs)}" if epochs else ""
    return f"config.json{rest}; seed {facts.config.get('seed', 'not recorded')}." if facts.config else ""


def _selection(facts: Facts) -> str:
    criterion = facts.config.get("criterion")
    return f"The best epoch by {criterion}. (Report, Training)" if criterion else ""


def _initial_weights(facts: Facts) -> str:
    weights = facts.config.get("weights")
    return f"Initial weights: {weights}." if weights else ""


def _ensemble(facts: Facts) -> str:
    views = facts.contract.get("views") or ()
    if not facts.contract:
        return ""
    return (
        f"One model that takes {len(views)} views and fuses them inside."
        if views
        else "None: one network for single images."
    )


def _measures(facts: Facts) -> str:
    binary = (facts.metrics.get("binary") or {}).get("metrics") or {}
    names = [*binary, *(name for name in facts.metrics.get("metrics", {}) if name not in binary)]
    if not names:
        return ""
    plots = ["confusion matrix", "ROC", "calibration", "deferral"]
    plots += ["decision curve"] if facts.metrics.get("decision_curve") else []
    return f"{', '.join(map(formatting.title, names[:8]))} and others; plots: {', '.join(plots)}. (Report, Figures)"


def _uncertainty(facts: Facts) -> str:
    methods = {each.get("method", "") for each in facts.metrics.get("metrics", {}).values() if formatting.defined(each)}
    first = min((method for method in methods if method), key=len, default="")
    return f"95 % intervals, for example {first}; whole groups are resampled. (Report, All metrics)" if first else ""


def _performance(facts: Facts) -> str:
    said = [f"{card.name} {card.value} {card.interval}".strip() for card in summary_cards.cards(facts.metrics)]
    return f"{'; '.join(said[:4])}. (Report, first screen and Numbers)" if said else ""


def _performance_of_subgroups(facts: Facts) -> str:
    said = _performance(facts)
    return f"{said} {_strata(facts) or f'{MISSING}subgroups.'}" if said else ""


def _strata(facts: Facts) -> str:
    strata = facts.metrics.get("strata") or {}
    differences = any((facts.metrics.get("strata_differences") or {}).values())
    apart = ", each also compared with the others, p values after Holm" if differences else ""
    return f"By {', '.join(strata)}{apart}. (Report, Numbers)" if strata else ""


def _output(facts: Facts) -> str:
    classes = f"Probabilities of {len(facts.metrics['classes'])} classes"
    if facts.point:
        return (
            f"{classes}; positive at {facts.point['threshold']:.3g} or more, chosen by {facts.point['rule']} on "
            f"{facts.point.get('chosen_on', 'validation')}."
        )
    return f"{classes}; the most probable class decides, no threshold was chosen."


def _calibration(facts: Facts) -> str:
    calibrated = facts.contract.get("calibration")
    return f"{_begun(calibrated['method'])} scaling fitted on validation." if calibrated else ""


def _calibration_results(facts: Facts) -> str:
    measured = facts.metrics.get("calibration_measures") or {}
    return (
        "Calibration error, slope and Brier score before and after. (Report, Numbers)" if measured.get("after") else ""
    )


def _imbalance(facts: Facts) -> str:
    said = [f"{name} {text}" for name, text in facts.config.items() if "weighting" in name or "class_weights" in name]
    return f"{', '.join(said)}. (config.json)" if said else ""


def _robustness(facts: Facts) -> str:
    resampled = next((row["resampling"] for row in facts.exports if "resampling" in row), None)
    said = []
    if resampled:
        said.append(
            f"{resampled['changed']} of {resampled['n']} decisions by the most probable class depend on an image's "
            "size or on how it is resized"
        )
        if at := resampled.get("at_point"):
            said.append(f"at the operating point {at['changed']} of {resampled['n']} do")
    if facts.metrics.get("repeatability"):
        said.append("several images of one case compared (report, Numbers)")
    return f"{'; '.join(said)}." if said else ""


def _class_shares(facts: Facts) -> str:
    if facts.counts is None:
        return ""
    rows = [f"{label}: {', '.join(str(each.images) for each in row)}" for label, row in facts.counts.rows[:-1]]
    return f"Images in {', '.join(facts.counts.splits)}: {'; '.join(rows)}."


def _demographics(facts: Facts) -> str:
    return f"Age known for {facts.ages} images (manifest.csv)." if facts.ages else ""


def _sites(facts: Facts) -> str:
    return f"Sites: {', '.join(facts.sites[:6])}." if facts.sites else ""


def _code(facts: Facts) -> str:
    commit, version = facts.environment.get("commit"), facts.environment.get("versions.cervix_tf")
    license = facts.contract.get("license")
    said = [f"cervix_tf {version}"] * bool(version) + [f"commit {commit}"] * bool(commit)
    return f"{', '.join(said)}; license: {license}." if said and license else ""


def _software(facts: Facts) -> str:
    named = {name.removeprefix("versions."): text for name, text in facts.environment.items() if "versions." in name}
    return f"{', '.join(f'{name} {text}' for name, text in named.items())}. (environment.json)" if named else ""


def _model_files(facts: Facts) -> str:
    files = ", ".join(str(each["file"]) for each in facts.exports if "file" in each)
    return f"{files}; license: {facts.contract.get('license', 'not recorded')}." if files else ""


def _prevalence(facts: Facts) -> str:
    by = summary_cards.counts(facts.metrics)
    if not by:
        return ""
    share = 100 * by["positive"] / max(by["positive"] + by["negative"], 1)
    stated = (facts.metrics.get("operating_point") or {}).get("prevalence")
    at = f"; predictive values at {100 * stated:g} %" if stated is not None else ""
    return f"{share:.0f} % of the test cases are positive{at}."


ANSWERS: dict[str, Callable[[Facts], str]] = {
    "calibration": _calibration,
    "calibration_results": _calibration_results,
    "class_shares": _class_shares,
    "clusters": lambda facts: _uncertainty(facts) if facts.metrics.get("groups") != facts.metrics.get("n") else "",
    "code": _code,
    "crosstab": lambda facts: "Counts of true class by prediction. (Report, first screen and Figures)",
    "data_source": _data_source,
    "demographics": _demographics,
    "disjoint": _disjoint,
    "ensemble": _ensemble,
    "explainability": lambda facts: f"{facts.heat_maps} (Report, Cases)" if facts.heat_maps else "",
    "failures": lambda facts: (
        facts.cases * "The most confident wrong cases and the least certain ones. (Report, Cases)"
    ),
    "goal": lambda facts: (
        "Development and internal test of a classifier." if facts.config else "Evaluation of a model."
    ),
    "imbalance": _imbalance,
    "indeterminate": lambda facts: (
        "None: every case gets a class; errors with unsure cases deferred are shown. (Report)"
    ),
    "initial_weights": _initial_weights,
    "input": _input,
    "intended_use": lambda facts: str(facts.contract.get("intended_use") or ""),
    "internal": lambda facts: "Tested on cases held out from training. (Report)" if facts.config else "",
    "limitations": lambda facts: f"{' '.join(limits.of(facts.metrics))} (Report, first screen)",
    "measures": _measures,
    "missing_data": _missing_data,
    "model": _model,
    "model_files": _model_files,
    "no_reader": lambda facts: "No person interprets the input: the model takes only pixels.",
    "numbers": _numbers,
    "outcome": _outcome,
    "output": _output,
    "partitions": _partitions,
    "performance": _performance,
    "performance_of_subgroups": _performance_of_subgroups,
    "poor_input": lambda facts: f"Files that cannot be decoded are refused. {limits.any_image(facts.gate)}",
    "predictions": lambda facts: _model_files(facts) and "`python -m cervix_tf.predict`, or the files of item 22.",
    "preparation": _preparation,
    "prevalence": _prevalence,
    "robustness": _robustness,
    "same_source": lambda facts: "Split from one list of images." if facts.config and facts.counts else "",
    "selection": _selection,
    "sites": _sites,
    "software": _software,
    "stored": lambda facts: facts.cases * "predictions.csv contains the probabilities of every test case.",
    "strata": _strata,
    "technical_details": lambda facts: (
        f"{'config.json, ' if facts.config else ''}environment.json and the command in the report."
    ),
    "technology": lambda facts: f"Deep learning: {facts.contract['task']}." if facts.contract.get("task") else "",
    "training": _training,
    "uncertainty": _uncertainty,
}
"""Name in checklists.yaml -> what the run's files say, with where; empty where they do not."""
