"""Which form a file has, told by its content and not by its name; and how one that is not read becomes one that is.

JSON Lines, plain or gzipped, and Parquet are cut into parts by their bytes. What has no places to cut at (CSV, JSON objects
over several lines, one JSON list, a workbook) is read by whoever has its first byte.
"""

from __future__ import annotations

import codecs
import csv
import re
import shlex
import zlib
from pathlib import Path
from typing import Final, Literal, TypeAlias

from distillery.components.articles.formats import MAX_LINE, bare
from distillery.components.articles.near_names import known_name
from distillery.filters.errors import InputError

Kind: TypeAlias = Literal["jsonl", "gzip", "parquet", "csv", "csv.gz", "json", "json.gz", "xlsx", "arrow"]
CUT: Final = frozenset({"jsonl", "gzip", "parquet"})
HEAD: Final = 8_192  # bytes by which a form is told
DELIMITERS: Final = ",;\t|"
READ: Final = "JSONL, CSV (both also gzipped), Parquet, XLSX or a JSON list"
ARROW_STREAM: Final = b"\xff\xff\xff\xff"
_ENDS: Final = rb"\r\n|\n|\r"
_UTF8: Final = codecs.getincrementaldecoder("utf-8")
_ZIP: Final = b"PK\x03\x04"
_ARROW: Final = "import pyarrow.feather as f, pyarrow.parquet as p, sys; p.write_table(f.read_table(sys.argv[1]), sys.argv[2])"
_TO_CSV: Final = "libreoffice --headless --convert-to csv {name}"

# Forms that are not read, by how their bytes begin: what they are called, and the command that makes one that is read.
_OTHERS: Final = (
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", "UTF-32", "iconv -f UTF-32 -t UTF-8 {name} > {stem}.utf8"),
    (rb"(?:[^\0]\0){4}", "UTF-16 without a byte order mark", "iconv -f UTF-16LE -t UTF-8 {name} > {stem}.utf8"),
    (rb"(?:\0[^\0]){4}", "UTF-16 without a byte order mark", "iconv -f UTF-16BE -t UTF-8 {name} > {stem}.utf8"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > {stem}.utf8"),
    (rb"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -d {name}"),
    (rb"\xfd7zX", "compressed with xz", "xz -dk {name}"),
    (rb"BZh[1-9]", "compressed with bzip2", "bzip2 -dk {name}"),
    (rb"7z\xbc\xaf", "a 7z archive", "7z x {name}"),
    (rb"\x04\x22\x4d\x18", "compressed with lz4", "lz4 -d {name} {stem}"),
    (rb"\xd0\xcf\x11\xe0", "a workbook of the old form (XLS)", _TO_CSV),
    (rb"ARROW1\x00\x00|FEA1\x00", "an Arrow or Feather file", f'python3 -c "{_ARROW}" {{name}} {{stem}}.parquet'),
    (rb"ORC[^\x00-\x08]{0,64}[\x00-\x08]", "an ORC file", "duckdb, Spark or pyarrow.orc can write it as Parquet"),
    (rb"Obj\x01", "an Avro file", "duckdb -c \"copy (from read_avro('{name}')) to '{stem}.parquet'\""),
    (rb"SQLite format 3\x00", "a SQLite database", "sqlite3 -csv -header {name} 'select * from TABLE' > {stem}.csv"),
    (rb"version https://git-lfs", "a pointer of Git LFS, in place of the file", "git lfs pull"),
    (rb"%PDF-", "a PDF", "give the text of its articles, one JSON object a line"),
    (rb"\x80[\x04\x05]\x95", "a pickle, which is code and never opened", "write the data frame with to_parquet"),
)  # fmt: skip
_WORKBOOK: Final = (b"xl/", b"[Content_Types].xml", b"_rels/.rels", b"docProps/")


def file_kind(head: bytes, where: str) -> Kind:
    """Return the form of a file, told by its content.

    Args:
        head: the first 8 KB of the file, or all of it.
        where: the file, as an error names it.

    Returns:
        Its form; "jsonl" for whatever is none of the others.

    Raises:
        InputError: the file has a form that is not read; the hint is the command that converts it.
    """
    if _has_known_names(head):  # whatever its first column is called: ORCID is no ORC
        return "csv"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:4] == ARROW_STREAM and head[5:8] != b"\xff\xff\xff":
        return "arrow"
    name = where.rpartition("/")[2]
    if head[:2] == b"\x1f\x8b":
        inner = _unpacked(head)
        if _has_known_names(inner):
            return "csv.gz"
        if _is_tar(inner):
            raise InputError("is an archive (tar)", where=where, hint=f"unpack it first: tar -xzf {shlex.quote(name)}")
        _refuse_others(inner, where, name.removesuffix(".gz"), f"gzip -dk {shlex.quote(name)}, then ")
        form = text_form(inner)
        return "gzip" if form == "jsonl" else "csv.gz" if form == "csv" else "json.gz"
    if _is_tar(head):
        raise InputError("is an archive (tar)", where=where, hint=f"unpack it first: tar -xf {shlex.quote(name)}")
    if head[:4] == _ZIP:
        if b"opendocument" in head:
            raise _refused("an OpenDocument sheet", _TO_CSV, where, name)
        if not any(mark in head for mark in _WORKBOOK):
            raise InputError("is an archive (zip)", where=where, hint=f"unpack it first: unzip {shlex.quote(name)}")
        return "xlsx"
    _refuse_others(head, where, name)
    return text_form(head)


def text_form(head: bytes) -> Literal["jsonl", "csv", "json"]:
    """Return the form of a text: JSON Lines, CSV with a header, or JSON values that are no lines.

    Args:
        head: the first bytes, or all of them.

    Returns:
        The form; JSON Lines where nothing says otherwise.
    """
    text = bare(head)
    if text[:1] == b"[":
        return "json"
    if text[:1] == b"{":
        return "json" if _over_lines(text) else "jsonl"
    records = _records(text)
    return "csv" if _known(records[:1]) or _is_table(text, records) else "jsonl"


def unknown_form(path: Path) -> InputError | None:
    """Return what a text is of which no row could be read, neither as JSON Lines nor as a table.

    Args:
        path: the file.

    Returns:
        The error that says so and what to do; None where it is JSON Lines, or a table.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if (kind := file_kind(head, str(path))) not in ("jsonl", "gzip"):
        return None
    zipped = kind == "gzip"
    name = path.name.removesuffix(".gz") if zipped else path.name
    before = f"gzip -dk {shlex.quote(path.name)}, then " if zipped else ""
    if (found := _unknown(_unpacked(head) if zipped else head, name)) is None:
        return None
    return InputError(found[0], where=str(path), hint=before + found[1])


def _unknown(head: bytes, name: str) -> tuple[str, str] | None:
    lines, quoted = [line for line in re.split(_ENDS, bare(head)) if line.strip()], shlex.quote(name)
    if not lines:
        return None
    text = bare(head)
    if re.search(rb"\r[ \t]*\{", text) and b"\n" not in text.rstrip():
        command = f"tr '\\r' '\\n' < {quoted} > {shlex.quote(_stem(name))}.lines"
        return "is JSON whose lines end in carriage returns alone, which is not read", command
    if any(bare(line)[:1] == b"{" for line in lines):
        return None
    try:
        first = _UTF8().decode(lines[0])[:80]
    except UnicodeDecodeError:
        return "is no text in UTF-8, and no other form that is known", f"give {READ}"
    for number, line in enumerate(re.split(_ENDS, head), 1):
        if line.strip() and line != lines[0] and len(_known(_records(line)[:1])) > 1:
            command = f"tail -n +{number} {quoted} > {shlex.quote(_stem(name))}.table"
            return f"its first line is no header of a table; line {number} is", f"delete the lines above it: {command}"
    if (sign := _other_sign(first)) and len({known_name(part) for part in first.split(sign)} - {""}) > 1:
        command = f"duckdb -c \"copy (from read_csv('{name}', delim='{sign}')) to '{_stem(name)}.parquet'\""
        command = command if sign.isprintable() else "write it with commas or tabs between its cells"
        return f"is a table whose cells are separated by {sign!r}, which is not read", command
    return f"is neither JSON Lines nor a table with a header: it begins with {first!r}", f"give {READ}"


def delimiter_of(line: bytes) -> str:
    """Return the sign between the cells of a header line.

    Args:
        line: the line.

    Returns:
        The sign between the most names that we know; of equal ones, the one that occurs most often outside quotes.
    """
    plain = re.sub(rb'"[^"]*"', b"", line)
    names = line[:HEAD].decode("utf-8", "replace")
    return max(DELIMITERS, key=lambda sign: (len({known_name(name) for name in names.split(sign)}), plain.count(sign.encode())))


def sheet_hint(name: str) -> str:
    """Return the command that makes CSV of a workbook that can't be read.

    Args:
        name: the file's name.

    Returns:
        A hint with a command that can be pasted.
    """
    return f"save it as CSV: {_TO_CSV.format(name=shlex.quote(name))}"


def _other_sign(line: str) -> str:
    """Return the sign that occurs most often in a line and that separates no cells here; empty where there is none."""
    signs = re.findall(rf"[^\w\s.'\"{DELIMITERS}-]", line)
    return max(signs, key=signs.count) if signs else ""


def _has_known_names(head: bytes) -> bool:
    """True if the first line is a header with a name that we know, and no line of a binary form that happens to read so."""
    text = bare(head)
    return text[:1] not in (b"{", b"[") and bool(_known(_records(text)[:1])) and not re.match(rb"[^\n]*[\x00-\x08]", head)


def _records(text: bytes) -> list[list[str]]:
    """Return the first two records of a text as a table has them; none where it can't be one."""
    line, _, rest = text.partition(b"\n")
    if re.fullmatch(rb"sep=.\r?", line):  # what Excel writes above a header
        text = rest
    line = re.split(_ENDS, text)[0]
    if len(line) > MAX_LINE:
        return []
    delimiter = delimiter_of(line)
    found: list[list[str]] = []
    try:  # the head may end within a record, or within a letter; a table in another encoding is refused by its reader
        whole = text.decode("utf-8", "replace").splitlines(keepends=True)
        rows = csv.reader(whole, delimiter=delimiter, skipinitialspace=True)
        found.append(next(rows, []))
        found.append(next(rows, []))
    except csv.Error:
        pass
    return found


def _known(records: list[list[str]]) -> set[str]:
    """Return the names that we know, nearly at least, of a header; a lone column must have the name itself."""
    names = records[0] if records else []
    if len(names) == 1:
        return {"content"} & {names[0].strip()}
    return {known_name(name) for name in names} - {""}


def _is_table(text: bytes, records: list[list[str]]) -> bool:
    """True if a text that begins with names we don't know is a table all the same: its first records have as many cells."""
    if len(records) < 2 or re.search(rb"(?m)^[ \t]*[<{]", text) or not all(len(name) <= 100 for name in records[0]):
        return False
    cells = [len(record) for record in records]
    return sum(map(bool, records[0])) > 1 and (cells[0] == cells[1] or (len(text) >= HEAD - 8 and cells[1] < cells[0]))


def _is_tar(head: bytes) -> bool:
    """True if the first 512 bytes are a header of tar, whose texts end in NUL."""
    return head[257:262] == b"ustar" and b"\0" in head[:257]


def _over_lines(text: bytes) -> bool:
    """True if the first object goes on behind the end of its line, where the next line is no object of its own."""
    depth, within = 0, False
    for sign in re.finditer(rb'\\.|["{}\[\]\n]', text):
        match sign[0]:
            case b'"':
                within = not within
            case b"\n":
                if within or depth == 0:
                    return False  # JSON has no line break within a text
                return text[sign.end() :].lstrip()[:1] not in (b"{", b"")
            case b"{" | b"[":
                depth += not within
            case b"}" | b"]":
                depth -= not within
    return False


def _refuse_others(head: bytes, where: str, name: str, before: str = "") -> None:
    for start, what, command in _OTHERS:
        if re.match(start, head):
            raise _refused(what, before + command, where, name)
    text = bare(head)
    if text[:1] == b"<" and b"urn:schemas-microsoft-com:office:" in text:
        raise _refused("a sheet saved as XML or HTML", before + _TO_CSV, where, name)
    if text[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise _refused("a page of HTML", "look at what was saved: most likely a login page or an error", where, name)
    if text[:1] == b"<":
        raise _refused("XML", "make one JSON object a line of it, with content and title", where, name)


def _refused(what: str, command: str, where: str, name: str) -> InputError:
    hint = command.replace("{name}", shlex.quote(name)).replace("{stem}", shlex.quote(_stem(name)))
    return InputError(f"is {what}, which is not read", where=where, hint=f"{hint} (read are {READ})")


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""
