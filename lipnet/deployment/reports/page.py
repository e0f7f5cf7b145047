"""A self-contained HTML page: templates, our style and script, and pictures inside the page.

The templates escape names from users' files. A Content-Security-Policy stops a page from loading anything and from
running scripts other than its own.
"""

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

BEFORE_UNIT = re.compile(r"(?<=\d) ?(?=(?:nm|px|%)(?!\w))")
CODE = re.compile(r"`([^`]+)`")


def render(template: str, content: Mapping[str, Any]) -> str:
    """A page from a template of this package, which gets our style and script too."""
    loader = PackageLoader("lipnet.deployment")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"prose": prose, "name": name}
    own: dict[str, Any] = {}
    for key, file in {"style": "report.css", "script": "report.js"}.items():
        source = loader.get_source(environment, file)[0].rstrip("\n")
        own[key] = Markup(source)  # not escaped: our own style and script
        own[f"{key}_hash"] = f"sha256-{base64.b64encode(sha256(source.encode()).digest()).decode()}"
    return environment.get_template(template).render(**content, **own)


def prose(text: str) -> Markup:
    """A sentence for a page: escaped, with text between backticks as code, and a no-break space before a unit."""
    spaced = BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(spaced))))


def name(text: str) -> Markup:
    """A name for a page: escaped; lines may break after an underscore, a slash and a full stop."""
    return Markup(re.sub(r"([_/.])", r"\1<wbr>", str(escape(text))))


def data_uri(kind: str, content: bytes) -> str:
    """A picture as the address of an image on a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
