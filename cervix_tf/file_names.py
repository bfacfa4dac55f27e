"""From any id (a case, an image's path, a site, a row) to a file name: the only place that makes one out of data."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from cervix_tf.errors import InputError

_MOST_BYTES = 100  # room for endings and for the names of temporary files below the 255 of most file systems
_DIGITS = 12
# Lower case only: `A` and `a` are one file on many disks. Nor may it look like a name with a digest.
_PLAIN = re.compile(rf"(?!.*-[0-9a-f]{{{_DIGITS}}}$)[a-z0-9][a-z0-9._-]*(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def of_id(id: str) -> str:
    """A file name for `id`, to put an ending behind: readable, of at most 113 bytes, and no other id's.

    An id of up to 100 lower-case ASCII letters, digits, dots, hyphens and underscores is its own name. Of any other
    the letters and digits stay (the last ones of a long id), the rest becomes `_`, and 12 digits of its SHA-256 end
    it, so that ids that look alike, or differ only in case or Unicode form, have names that differ on every disk.
    """
    if _PLAIN.fullmatch(id) and not _RESERVED.fullmatch(id) and len(id) <= _MOST_BYTES:
        return id
    kept = (
        each if unicodedata.category(each)[0] in "LMN" or each in ".-" else "_"
        for each in unicodedata.normalize("NFC", id)
    )
    readable = re.sub("__+", "_", "".join(kept)).encode()[-_MOST_BYTES:].decode(errors="ignore")
    digest = hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{readable.strip('._-') or 'unnamed'}-{digest}"


def check_plain(name: str, option: str) -> None:
    """Raise `InputError` unless `name`, given by `option`, can be a folder's name as it stands, on any system."""
    wrong = ""
    if re.search(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?"<>|]', name):
        wrong = "has a separator or another character that a name cannot have"
    elif name.startswith(".") or name.endswith((".", " ")) or not name.strip():
        wrong = "begins with a dot, ends with a dot or a blank, or is blank"
    elif _RESERVED.fullmatch(name):
        wrong = "is a name that Windows keeps for a device"
    elif len(name.encode()) > 2 * _MOST_BYTES:
        wrong = f"is longer than {2 * _MOST_BYTES} bytes"
    if wrong:
        raise InputError(f"{option} {name!r}: {wrong}; give a plain name, such as first-try")
