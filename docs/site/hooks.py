"""What the site does with the repository: finds its pages, makes the command reference, and refuses other hosts."""

import re
from pathlib import Path
from typing import Any

import command_reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIALS = (
    "write_a_workflow",
    "improve_on_your_data",
    "train_a_generator",
    "reproduce_openagi",
    "add_an_operator",
    "add_a_strategy",
    "add_a_benchmark",
)
# In the order of reading; one that is missing here comes last.

_NAMED = re.compile(r"(?<!\[)`((?:docs|benchmarks)/[\w/.-]+\.md|README\.md|CHANGELOG\.md)`(?!\])")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+", re.IGNORECASE
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation, from the folders; and anchors that are an error's code alone."""
    guides = [f"{path.stem}.md" for path in DOCS.glob("*.md")]
    later = [name for name in ("papers.md", "architecture.md", "errors.md") if name in guides]
    results = [_place(path) for path in sorted((ROOT / "benchmarks").rglob("*.md"))]
    config.nav = [
        {"autoflow": ["index.md", "changelog.md"]},
        {"Tutorials": [f"tutorials/{name}.md" for name in _tutorials()]},
        {"Guides": sorted(set(guides) - set(later))},
        {"Reference": ["reference/commands.md", "reference/python.md", *later]},
        {"Results": results},
        {"Decisions": [f"adr/{path.name}" for path in sorted((DOCS / "adr").glob("*.md"))]},
    ]
    config.mdx_configs.setdefault("toc", {})["slugify"] = _slug
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages that lie outside the folder, and the one that is generated."""
    outside = {"index.md": ROOT / "README.md", "changelog.md": ROOT / "CHANGELOG.md"}
    outside |= {_place(path): path for path in (ROOT / "benchmarks").rglob("*.md")}
    for place, path in outside.items():
        text = path.read_text(encoding="utf-8")
        if place == "index.md":
            text = text.replace("](docs/", "](")
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, "reference/commands.md", content=command_reference.page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Documents that the text names by their path become links."""
    depth = page.file.src_uri.count("/")

    def link(match: re.Match[str]) -> str:
        target = _site_place(match[1])
        return match[0] if files.get_file_from_path(target) is None else f"[{match[0]}]({'../' * depth}{target})"

    parts, at = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_NAMED.sub(link, markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, _NAMED.sub(link, markdown[at:])])


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """A reader's browser asks no other host for anything.

    Raises:
        PluginError: Naming the page and what it would load.
    """
    found = [match[0] for match in _ELSEWHERE.finditer(output) if 'rel="canonical"' not in match[0]]
    if found:
        raise PluginError(f"{page.file.src_uri} loads from another host: {found[0]}")
    return output


def _tutorials() -> list[str]:
    found = {path.stem for path in (DOCS / "tutorials").glob("*.md")}
    return [*(name for name in TUTORIALS if name in found), *sorted(found - set(TUTORIALS))]


def _place(path: Path) -> str:
    """Where a document outside docs/ stands on the site."""
    inside = path.relative_to(ROOT)
    # README.md would be the folder's first page, and hide what lies beside it.
    return str(inside.with_name("results.md") if inside.name == "README.md" else inside)


def _site_place(named: str) -> str:
    if named in ("README.md", "CHANGELOG.md"):
        return {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}[named]
    return named.removeprefix("docs/") if named.startswith("docs/") else _place(ROOT / named)


def _slug(text: str, separator: str, **_: Any) -> str:
    from markdown.extensions.toc import slugify

    # "### `usage` · exit 2" is found as errors/#usage.
    return str(slugify(text.partition(" · ")[0], separator))
