"""Sphinx configuration. Builds without a network: `python -m sphinx -W -b html docs build/docs`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Importing operators imports Airflow: as a library, and not into the home of whoever builds the docs.
os.environ.setdefault("_AIRFLOW__AS_LIBRARY", "1")
os.environ.setdefault("AIRFLOW_HOME", str(Path(tempfile.gettempdir(), "arcgis-tasks-docs-airflow")))
sys.path.insert(0, str(Path(__file__).parent.parent))

from airflow_provider_arcgis_tasks import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "ArcGIS tasks for Airflow"
author = "the contributors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = False
default_role = "code"  # what docstrings have in single backticks

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def add_templated_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """End the docstring of an operator or sensor with its templated fields, as the code has them."""
    fields = getattr(obj, "template_fields", ()) if what == "class" else ()
    if fields:
        named = (("task_type" if field == "portal_task_type" else field) for field in fields)
        lines += ["", f"Templated: {', '.join(f'``{field}``' for field in named)}.", ""]


ATTRIBUTES = ("attribute", "data", "property")
docstrings_of_attributes: dict[str, list[str]] = {}


def keep_attribute(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Remember the docstring of an attribute before napoleon reads it."""
    if what in ATTRIBUTES:
        docstrings_of_attributes[name] = list(lines)


def restore_attribute(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take it back: napoleon holds what stands before a colon in it for a type."""
    if what in ATTRIBUTES:
        lines[:] = docstrings_of_attributes.pop(name)


def show_empty_defaults(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write an empty mapping for the default that a dataclass makes: `<factory>` is not Python."""
    if arguments:
        arguments = arguments.replace("~typing.", "").replace("<factory>", "{}")
    return arguments, returns


def setup(app: Sphinx) -> None:
    """Register what this file adds."""
    app.connect("autodoc-process-docstring", keep_attribute, priority=100)
    app.connect("autodoc-process-docstring", restore_attribute, priority=900)
    app.connect("autodoc-process-signature", show_empty_defaults)
    app.connect("autodoc-process-docstring", add_templated_fields, priority=900)
