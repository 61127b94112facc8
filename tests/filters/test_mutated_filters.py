"""However a filter is damaged, it is read, or refused in one line: never a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from distillery.filters.errors import InputError
from distillery.filters.lint import lint, render_findings
from distillery.filters.lint_files import check_text, render
from distillery.filters.loading import INSTALLED, dump_filter, load_filter_text

FULL = 2_000
PIECES = [
    "null", "~", "0777", "1e999", ".nan", "yes", "<<", "=", "2024-01-01",
    "[]", "{}", "- ", ": ", "'", '"', "\\", "&a ", "*a", "!!int ",
    "|", ">",
    "\t", "\n", "\r", "\0", "\x08", "\x85", "\u00a0", "\u2028", "\ud800", "\ufeff", "#",
    "---\n", "...", '"\\b"', '"\\_"', "'{,3}'", "(", "[^",
    "{", "9" * 80, "-1", "1.5", "é", "e\u0301", "overall", "and (", "name: x", "spec:", "exclude: ['(']", "%", "@", "`",
]  # fmt: skip


def mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        start, kind = rng.randrange(len(text) + 1), rng.randrange(6)
        end = min(len(text), start + rng.choice([1, 2, 8, 40, 400]))
        lines = text.split("\n")
        if kind == 0:
            text = text[:start] + rng.choice(PIECES) + text[start:]
        elif kind == 1:
            text = text[:start] + rng.choice(PIECES) + text[end:]
        elif kind == 2:
            text = text[:start] + text[end:]
        elif kind == 3:
            text = text[:end] + text[start:]
        elif kind == 4:
            del lines[rng.randrange(len(lines))]
            text = "\n".join(lines)
        else:
            at = rng.randrange(len(lines))
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key}{colon} {rng.choice(PIECES)}"
            text = "\n".join(lines)
        text = text or " "
    return text


@pytest.mark.parametrize("n", [pytest.param(FULL // 100, id="quick"), pytest.param(FULL, id="all", marks=pytest.mark.slow)])
def test_a_mutated_filter_is_read_or_refused_in_one_line(n: int, text: str) -> None:
    sources = [text, *(path.read_text("utf-8") for path in sorted(INSTALLED.glob("*/v*/filter.yaml")))]
    rng, refusals = random.Random(14), list[str]()
    for _ in range(n):
        damaged = mutated(rng.choice(sources), rng)
        valid, found = check_text(damaged, "filter.yaml")
        try:
            flt = load_filter_text(damaged, "filter.yaml")
        except InputError as error:
            refusals.append(str(error))
            assert found
            assert {finding.file for finding in found} == {"filter.yaml"}
            assert "\n" not in render(found[:1])
            continue
        assert (valid, found) == (flt, [])
        assert load_filter_text(dump_filter(flt), "dump") == flt
        render_findings(lint(flt, damaged))
    assert 0 < len(refusals) < n
    assert [line for line in refusals if "\n" in line or not line.startswith("filter.yaml")] == []


def test_the_cases_of_quotes_differ_only_in_them(tmp_path: Path, text: str) -> None:
    single = text.replace("  oracle:", "  prefilter: {exclude: ['\\bone two\\b']}\n  oracle:")
    assert load_filter_text(single, "single").spec.prefilter.exclude == [r"\bone two\b"]
    with pytest.raises(InputError, match="use single quotes"):
        load_filter_text(single.replace("'\\bone two\\b'", '"\\bone two\\b"'), "double")
