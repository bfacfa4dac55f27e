"""What an importer hands back before files are hashed and measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cervix_tf.data.tables import Table


@dataclass
class ImportedRecords:
    """Manifest rows as dictionaries (column -> value), and what to tell the user."""

    records: list[dict[str, object]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """(file or case, reason)."""
    notes: list[str] = field(default_factory=list)
    root: Path | None = None
    """The folder that the paths are relative to, where it is not the one given."""
    table: Table | None = None
    """The table that the rows were taken from, one by one, so that a message can name its lines."""

    def add(self, path: str, **columns: object) -> None:
        """Add the row of the image at `path`."""
        self.records.append({"path": path, **columns})

    def leave_out(self, what: str, reason: str) -> None:
        """Say that `what` was seen and is not in the manifest."""
        self.left_out.append((what, reason))
