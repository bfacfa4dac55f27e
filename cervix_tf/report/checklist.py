"""checklist.md of a run: TRIPOD+AI, CLAIM 2024 and STARD-AI, each item answered from the run's files or `not reported`.

The items stand in checklists.yaml, the answers in checklist_answers. What no run can know, such as an ethics approval,
is left to the authors.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from cervix_tf import atomic
from cervix_tf.report.checklist_answers import ANSWERS, MISSING, Facts

_ITEMS = Path(__file__).with_name("checklists.yaml")
ANSWERED, PARTLY, NOT_REPORTED = "answered", "partly", "not reported"
_END = "<!-- As generated: {}. A page that was edited is not written again. -->"
AUTHORS = "the authors must report it"


@dataclass(frozen=True)
class Line:
    """One item as it was answered."""

    item: str
    topic: str
    status: str
    text: str


@dataclass(frozen=True)
class Checklist:
    """One guideline."""

    name: str
    source: str
    lines: list[Line]

    @property
    def tally(self) -> str:
        """`20 answered, 12 partly, 20 not reported`."""
        found = Counter(line.status for line in self.lines)
        return ", ".join(f"{found[status]} {status}" for status in (ANSWERED, PARTLY, NOT_REPORTED))


def checklists(facts: Facts) -> list[Checklist]:
    """The three guidelines, answered."""
    return [
        Checklist(each["name"], each["source"], [_line(item, facts) for item in each["items"]])
        for each in yaml.safe_load(_ITEMS.read_text(encoding="utf-8"))
    ]


def _line(item: Mapping[str, str], facts: Facts) -> Line:
    answer = ANSWERS[item["answer"]](facts) if "answer" in item else ""
    missing = item.get("missing", "")
    if not answer:
        why = AUTHORS if "answer" not in item else "this run's files do not say"
        return Line(item["item"], item["topic"], NOT_REPORTED, f"{NOT_REPORTED}: {why}")
    text = f"{answer} {MISSING}{missing}." if missing else answer
    return Line(item["item"], item["topic"], PARTLY if MISSING in text else ANSWERED, text)


def write(path: Path, title: str, found: Sequence[Checklist]) -> None:
    """Write the page to `path`; one that somebody has filled in stays, which is said."""
    if edited(path):
        print(f"note: {path}: was edited and stays as it is; rename it to have it answered from the files again")
        return
    text = markdown(title, found)
    atomic.write_text(path, f"{text}{_END.format(_digest(text))}\n")


def edited(path: Path) -> bool:
    """Whether a page that `write` wrote is no longer as it was written."""
    if not path.exists():
        return False
    text, _, end = path.read_text(encoding="utf-8", errors="replace").rstrip("\n").rpartition("\n")
    return end != _END.format(_digest(f"{text}\n"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def markdown(title: str, found: Sequence[Checklist]) -> str:
    """The page."""
    return "\n".join(_markdown(title, found)) + "\n"


def _markdown(title: str, found: Sequence[Checklist]) -> Iterator[str]:
    yield f"# Reporting checklists: {title}"
    yield ""
    yield (
        "Generated from the run's files: an answer says what they contain and where; nothing was filled in by hand. "
        "What a run cannot know is *not reported*. Topics are in our words: the guidelines' own text is what counts. "
        "Item numbers were compared with independent transcriptions of the published lists, not with the publishers' "
        "pages."
    )
    for each in found:
        yield from ("", f"## {each.name}", "", f"{each.source}. {each.tally}.", "")
        yield "| item | topic | answer |"
        yield "|---|---|---|"
        for line in each.lines:
            text = " ".join(line.text.split()).replace("|", "\\|").replace("<", "&lt;")
            yield f"| {line.item} | {line.topic} | {text} |"
