"""How a sheet of tables leaves a command: in a terminal, as Markdown, or as a page in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from distillery.filters.errors import InputError, one_line
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.reporting.sheet import Sheet

Form = Literal["terminal", "html", "markdown", "docx", "pdf"]
FORMS: Final[dict[str, Form]] = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown"}
DOCUMENTS: Final[dict[str, Form]] = {**FORMS, ".docx": "docx", ".pdf": "pdf"}  # of a report
WIDE: Final = 160  # columns where nobody says how many there are: in a file, or in a pipe
STYLES: Final = {"good": "bold green", "bad": "bold red"}


def form_of(out: Path | None, *, markdown: bool, noun: str = "page", forms: Mapping[str, Form] = FORMS) -> Form:
    """Return the form that is asked for, going by the name of the file and by --md.

    Args:
        out: The file; None for standard output.
        markdown: True if --md was typed.
        noun: What is written, for the error.
        forms: The forms it may have, by suffix.

    Returns:
        The form; a file without a suffix is a page.

    Raises:
        InputError: The file's name and --md say different things, or its suffix is of no form.
    """
    if out is None or str(out) == "-":
        return "markdown" if markdown else "terminal"
    suffix = out.suffix.lower()
    if suffix and suffix not in forms:
        raise InputError(f"a {noun} has no form {suffix}", where=f"--out {out}", hint=f"name it {', '.join(forms)}")
    form = forms.get(suffix, "markdown" if markdown else "html")
    if markdown and form != "markdown":
        what = f"is {form.upper()}, and --md asks for Markdown"
        raise InputError(what, where=f"--out {out}", hint="name it .md, or leave --md out")
    return form


def deliver(sheet: Sheet, out: Path | None, form: Form, *, as_json: bool) -> None:
    """Write a sheet to a file and print where it is, or print it.

    Args:
        sheet: The sheet.
        out: The file; None or "-" for standard output.
        form: What `form_of` returned.
        as_json: True if standard output gets one JSON object.
    """
    from distillery.components.reporting.sheet import sheet_html, sheet_markdown
    from distillery.components.runtime.whole_file import write_whole

    if form == "terminal":
        print_sheet(sheet)
        return
    text = sheet_html(sheet) if form == "html" else sheet_markdown(sheet)
    to = None if out is None or str(out) == "-" else out
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_whole(to, text)
    if as_json:
        print_json({"out": str(to)} if to else {"markdown": text})
    else:
        print(to or text, end="\n" if to else "")


def print_sheet(sheet: Sheet) -> None:
    """Print a sheet in a terminal.

    Args:
        sheet: The sheet.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if Console().is_terminal else Console(width=WIDE)

    def say(text: str, style: str = "") -> None:
        console.print(Text(one_line(text), style=style))

    say(sheet.title, "bold")
    say(sheet.sentence, STYLES.get(sheet.tone, "bold"))
    for note in sheet.notes:
        say(f"note: {note}")
    for table in sheet.shown:
        console.print()
        say(table.title, "bold")
        drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for at, head in enumerate(table.head):
            left = at < table.left
            drawn.add_column(Text(head), justify="left" if left else "right", overflow="fold", no_wrap=not left)
        for row in table.cells:
            drawn.add_row(*(Text(one_line(cell.text), style=STYLES.get(cell.tone, "")) for cell in row))
        needed = console.measure(drawn, options=console.options.update(width=WIDE)).minimum
        wide = console if needed <= console.width else Console(width=needed)  # better wrapped lines than numbers cut short
        wide.print(drawn)
        if table.note:
            say(table.note, "dim")
    if sheet.footer:
        console.print()
        say(sheet.footer, "dim")
