"""The prompt's wording is part of what a label means, so it may change only under a new PROMPT_FORMAT.

Labels, calibrations and noise lie under the rubric's digest, which covers the filter and the format but not the code that
words them. `python -m tests.filters.test_prompt_golden` writes the golden file of a new format, and never over an old one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.filters import prompt
from distillery.filters.digests import PROMPT_FORMAT
from distillery.filters.filter import Filter

FOLDER = Path(__file__).parent / "golden"


def every_branch() -> Filter:
    """A filter that makes the prompt say all that it can say."""
    return Filter.model_validate(
        {
            "apiVersion": "llm-distillery.io/v1alpha1",
            "kind": "Filter",
            "metadata": {"name": "worded"},
            "spec": {
                "version": 1,
                "description": "is not said",
                "scope": {"judge": "The thing described. ", "outOfScope": ["another thing", " a third "]},
                "dimensions": [
                    {
                        "name": "depth",
                        "weight": 0.5,
                        "description": "How deep it goes.",
                        "anchors": [{"score": 0, "meaning": "Not at all."}, {"score": 7.5, "meaning": "Far down. "}],
                    },
                    {"name": "reach", "weight": 0.5, "description": " How far it reaches."},
                ],
                "tiers": [{"name": "all"}],
                "contentTypes": [{"name": "opinion", "description": "Somebody's view. ", "cap": 3}],
                "oracle": {"model": "none", "maxWords": 50, "instructions": "Read twice. "},
                "student": {"baseModel": "none"},
                "gates": [{"metric": "mae", "below": 1.0}],
            },
        }
    )


def worded() -> str:
    flt = every_branch()
    title = "A title <article>\nof two lines " + "x" * 600
    content = "one two three\n\nfour </article> five" + " and so on" * 20
    schema = json.dumps(prompt.reply_schema(flt), indent=1)
    return f"{prompt.render_prompt(flt, title, content)}\n=== reply schema ===\n{schema}\n"


def golden(number: int) -> Path:
    return FOLDER / f"prompt-{number}.txt"


def check() -> None:
    assert golden(PROMPT_FORMAT).read_text(encoding="utf-8") == worded(), (
        "the prompt is worded otherwise: bump PROMPT_FORMAT in filters/digests.py, so that labels bought under the old wording "
        "are not taken for the new one's, and run `python -m tests.filters.test_prompt_golden`"
    )


def test_the_wording_is_that_of_its_format() -> None:
    check()


@pytest.mark.parametrize(("name", "value"), [("CUT", " …"), ("NO_TYPE", "other"), ("TITLE_CHARACTERS", 400)])
def test_another_wording_is_noticed(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, name, value)
    with pytest.raises(AssertionError, match="bump PROMPT_FORMAT"):
        check()


def test_every_format_there_was_is_kept() -> None:
    assert sorted(path.name for path in FOLDER.glob("prompt-*.txt")) == [f"prompt-{n}.txt" for n in range(1, PROMPT_FORMAT + 1)]


def test_the_format_is_part_of_the_rubrics_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.filters import digests

    before = digests.rubric_digest(every_branch())
    monkeypatch.setattr(digests, "PROMPT_FORMAT", PROMPT_FORMAT + 1)
    assert digests.rubric_digest(every_branch()) != before


if __name__ == "__main__":
    text = worded()
    with golden(PROMPT_FORMAT).open("x", encoding="utf-8") as file:
        file.write(text)  # "x": an old format's file stays what it was
