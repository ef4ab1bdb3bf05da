"""A document of sections with tables and pictures: as Markdown, and as HTML in one file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .escaping import in_html, in_markdown
from .published import METRICS
from .table import Heading, TableRow, by_heading, cell, mark_remarks, markdown_table


@dataclass(frozen=True)
class Illustration:
    """A picture of the report and what is said of it."""

    file: str
    """Below the run folder."""
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading with text, a table, pictures."""

    title: str
    lines: tuple[str, ...] = ()
    """Plain text, as all of it: what it holds of captions and names is no markup."""
    warning: str = ""
    """What nobody may overlook; stands first."""
    rows: tuple[TableRow, ...] = ()
    pictures: tuple[Illustration, ...] = ()


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The document as Markdown, which refers to the pictures."""
    return "\n".join([f"# {in_markdown(title)}", "", *(_markdown(section) for section in sections)])


def _markdown(section: Section) -> str:
    parts = [f"## {in_markdown(section.title)}", ""]
    parts += [f"- **{in_markdown(section.warning)}**"] if section.warning else []
    parts += [f"- {in_markdown(line)}" for line in section.lines] + [""]
    if section.rows:
        parts += [markdown_table(section.rows)]
    for picture in section.pictures:  # what stands in the brackets shows only where the picture does not
        caption = in_markdown(picture.caption)
        parts += [f"![{caption}]({picture.file})\n", f"{caption}\n"]
    return "\n".join(parts)


def page(title: str, sections: Sequence[Section], folder: Path) -> str:
    """The document as one HTML file with its pictures, which lie below ``folder``, in it."""
    return document(title, "\n".join(_html(section, folder) for section in sections))


def document(title: str, body: str) -> str:
    """An HTML file with this heading and what follows it, which is HTML already."""
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ccc;padding:.2em .7em}"
        "td.n{text-align:right;white-space:nowrap}div.wide{overflow-x:auto}"
        "img{max-width:100%}figure{margin:1em 0}tr.own{font-weight:600}"
        "div.hits{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:0 1.2em}"
        "article{overflow-wrap:anywhere}article h2,article h3{font-size:1em}"
    )
    heading = in_html(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        f"<style>{style}</style></head>\n<body><h1>{heading}</h1>\n{body}\n</body></html>\n"
    )


def _html(section: Section, folder: Path) -> str:
    warning = f"<li><strong>{in_html(section.warning)}</strong></li>" if section.warning else ""
    lines = warning + "".join(f"<li>{in_html(line)}</li>" for line in section.lines)
    tables = "".join(_html_table(heading, rows) for heading, rows in by_heading(section.rows).items())
    tables += "".join(f"<p>{in_html(remark)}</p>" for remark in mark_remarks(section.rows))
    pictures = "".join(_html_picture(picture, folder) for picture in section.pictures)
    return f"<h2>{in_html(section.title)}</h2><ul>{lines}</ul>{tables}{pictures}"


def tables_html(rows: Sequence[TableRow], lines: Sequence[str]) -> str:
    """Tables of figures and what is said below them, as a part of another page, such as a notebook."""
    tables = "".join(_html_table(heading, some) for heading, some in by_heading(rows).items())
    return tables + "".join(f"<p>{in_html(line)}</p>" for line in (*mark_remarks(rows), *lines))


def _html_table(heading: Heading, rows: Sequence[TableRow]) -> str:
    with_dataset = any(row.dataset for row in rows)
    names = ("head", *(["data set"] if with_dataset else []), "way", *METRICS, "queries", "tied", "source")
    heads = "".join(f"<th>{name}</th>" for name in names)
    lines = "".join(_html_row(row, with_dataset=with_dataset) for row in rows)
    table = f'<div class="wide"><table><tr>{heads}</tr>{lines}</table></div>'
    return f"<h3>{_html_heading(heading)}</h3>{table}"


def _html_heading(heading: Heading) -> str:
    section = in_html(heading.section)
    return f"<s>{section}</s> {in_html(heading.unlike)}" if heading.unlike else section


def _html_row(row: TableRow, *, with_dataset: bool) -> str:
    numbers = [cell(row, metric) for metric in METRICS]
    numbers += ["" if count is None else f"{count:,}" for count in (row.queries, row.tied)]
    texts = [row.name, *([row.dataset] if with_dataset else []), row.direction]
    cells = "".join(f"<td>{in_html(text)}</td>" for text in texts)
    cells += "".join(f'<td class="n">{number}</td>' for number in numbers)
    kind = ' class="own"' if row.is_own else ""
    return f"<tr{kind}>{cells}<td>{in_html(row.remark)}</td></tr>"


def _html_picture(picture: Illustration, folder: Path) -> str:
    data = base64.b64encode((folder / picture.file).read_bytes()).decode()
    caption = in_html(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
