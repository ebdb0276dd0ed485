"""JavaScript and style of others, out of the wheels that carry them: nothing comes from the net."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.metadata
import importlib.resources
from dataclasses import dataclass

import altair as alt
import vl_convert

__all__ = ["Licence", "chart_script", "hash_source", "licences", "table_module", "table_style"]


@dataclass(frozen=True)
class Licence:
    """A package whose code is on the page."""

    package: str
    version: str
    carries: str
    text: str


def vega_lite_version() -> str:
    """The version of Vega-Lite that Altair writes, as vl-convert names it."""
    wanted = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    known = vl_convert.get_vegalite_versions()
    return wanted if wanted in known else known[-1]


@functools.cache
def chart_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script that sets ``window.vegaEmbed``."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vega_lite_version())
    # Its own names stay its own; and no text in it may end the script element.
    return f"(() => {{{_inside_script(bundle)}\n}})();"


def table_module() -> str:
    """DataTables with its extensions as one ECMAScript module, whose default export it is."""
    return _itables_file("dt_bundle.js")


def table_style() -> str:
    """The style sheet that goes with `table_module`."""
    return _itables_file("dt_bundle.css").replace("</style", "<\\/style")


def hash_source(script: str) -> str:
    """How a Content-Security-Policy names a script by its content."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def licences() -> tuple[Licence, ...]:
    """The packages whose code is on the page, with the text of their licences."""
    carried = {
        "vl-convert-python": "Vega, Vega-Lite and Vega-Embed, of the Vega project",
        "itables": "DataTables and its extensions, of SpryMedia, and jQuery",
    }
    return tuple(
        Licence(package, importlib.metadata.version(package), what, _licence_text(package))
        for package, what in carried.items()
    )


def _licence_text(package: str) -> str:
    files = importlib.metadata.files(package) or []
    texts = [file.read_text() for file in files if file.name.upper().startswith("LICEN")]
    return "\n\n".join(sorted(texts))


def _itables_file(name: str) -> str:
    file = importlib.resources.files("itables") / "html" / name
    return file.read_text(encoding="utf-8")


def _inside_script(code: str) -> str:
    """The same program, without the sequences that HTML reads inside a script element."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")
