"""Sphinx: guides in Markdown and the API reference from the docstrings; `make docs`, warnings are errors."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "cervix_tf"
copyright = "the cervix_tf authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["notebooks/*.ipynb"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "cervix_tf"
default_role = "code"  # docstrings write `name`, as Markdown does
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # an attribute named as another is no ambiguity for a reader


_attributes = {}  # name -> lines of its docstring, while Napoleon has them


def tables(lines):
    """The lines of a docstring with its Markdown tables as reStructuredText's."""
    found, result = [], []
    for line in [*lines, ""]:
        if line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if found:
            result += ["", ".. list-table::", "   :header-rows: 1", ""]
            for row in (row for row in found if set("".join(row)) - set("-: ")):
                result += [f"   {'*' if at == 0 else ' '} - {cell}" for at, cell in enumerate(row)]
            result.append("")
            found = []
        result.append(line)
    return result


def sources(lines):
    """The lines of a docstring with what follows `Source:` and `Departs:` as paragraphs of their own."""
    result, inside = [], False
    for line in lines:
        begins = line.startswith(("Source: ", "Departs: "))
        inside = begins or (inside and line.startswith("    "))
        result += ["", line] if begins else [line.strip() if inside else line]
    return result


def process(app, what, name, obj, options, lines):
    """Fix a docstring in place."""
    lines[:] = tables(sources(lines))
    if what in ("attribute", "data", "property"):
        _attributes[name] = list(lines)


def restore(app, what, name, obj, options, lines):
    """Take back what Napoleon made of an attribute: it takes what stands before a colon for the type."""
    lines[:] = _attributes.pop(name, lines)


def setup(app):
    """Connect what Sphinx calls."""
    app.connect("autodoc-process-docstring", process, priority=400)  # before Napoleon
    app.connect("autodoc-process-docstring", restore, priority=600)
