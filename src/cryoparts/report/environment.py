"""Where the templates of the page and its sections are."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cryoparts.palette import part_words


def environment() -> Environment:
    """Templates that escape what they are given and miss nothing."""
    made = Environment(
        loader=PackageLoader("cryoparts.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["as_script"] = as_script
    made.filters["inline_svg"] = Markup  # drawn by us: matplotlib escapes the text within
    made.filters["part_words"] = part_words
    return made


def as_script(json: str) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    return Markup(json.replace("<", "\\u003c"))


def render(template: str, **content: object) -> Markup:
    """A section of the page."""
    return Markup(environment().get_template(template).render(**content))
