"""What the site makes itself: the reference of commands, pages that lie elsewhere, equations.

MkDocs calls the functions `on_...` while it builds (see mkdocs.yml).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import latex2mathml.converter
from mkdocs.structure.files import File

from cryoparts.cli.main import build_app

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]

ELSEWHERE = {
    "contribute.md": ROOT / "CONTRIBUTING.md",
    "changes.md": ROOT / "CHANGELOG.md",
    "benchmarks/index.md": ROOT / "benchmarks" / "README.md",
    **{
        f"benchmarks/{path.name}": path
        for path in sorted((ROOT / "benchmarks" / "results").glob("*.md"))
    },
}
"""Page of the site -> its file outside docs/."""

NO_PAGES = re.compile(r"\[([^\]]+)\]\((?!https?:|docs/|#)[^)]+\)")
"""Links from those files to what is no page of the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the menu what it does not name: results of benchmarks, and new pages of docs/."""
    named = set(re.findall(r"[\w/]+\.md", str(config.nav)))
    sections = {name: pages for entry in config.nav or [] for name, pages in entry.items()}
    results = [name for name in ELSEWHERE if name.startswith("benchmarks/")]
    sections["Measured"] += [name for name in results if name not in named]
    own = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    sections["Use"] += [name for name in own if name not in named]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and those that lie outside docs/."""
    files.append(File.generated(config, "commands.md", content=commands_page()))
    for name, path in ELSEWHERE.items():
        depth = "../" * name.count("/")
        text = NO_PAGES.sub(r"\1", path.read_text(encoding="utf-8"))
        files.append(File.generated(config, name, content=text.replace("](docs/", f"]({depth}")))
    return files


def commands_page() -> str:
    """Every verb and option, from the program itself."""
    made: str = build_app(help_all=True).generate_docs(
        output_format="markdown", heading_level=1, usage_name="cryoparts"
    )
    body = made[made.index("\n## cryoparts ") :]  # after its own list of contents
    about = "Every verb with every option and its default, as `cryoparts VERB --help-all` shows."
    return f"# Commands\n\n{about}\n{body}"


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to files outside docs/ lead to their pages."""
    for name, path in ELSEWHERE.items():
        markdown = markdown.replace(f"](../{path.relative_to(ROOT)})", f"]({name})")
    return markdown


def on_page_content(html: str, **_: object) -> str:
    """Equations as MathML, which browsers draw without any script."""

    def drawn(found: re.Match[str]) -> str:
        text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()
        display = "block" if text.startswith(r"\[") else "inline"
        element: str = latex2mathml.converter.convert(text[2:-2].strip(), display=display)
        return f'<div style="overflow-x: auto">{element}</div>' if display == "block" else element

    return re.sub(r'<(?:span|div) class="arithmatex">(.*?)</(?:span|div)>', drawn, html, flags=re.S)
