"""Whether candidates of both modes read as much of an article: an instruction takes its tokens from `maxLength`.

Where they don't, the figures measure how much was read, not the mode. It is said before anything is trained, and on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from distillery.components.choosing.candidates import Candidate
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.filters.instruction import student_instruction


class Terms(NamedTuple):
    """What a candidate reads. instruction: tokens of it, 0 for regression. article: tokens of an article, at most."""

    instruction: int
    article: int


def terms_of(store: Store, candidates: Sequence[Candidate]) -> dict[str, Terms]:
    """Return what each candidate reads, where any has an instruction.

    Args:
        store: where base models are looked for, after this machine.
        candidates: in any order.

    Returns:
        Terms by name; none where all are of mode regression.

    Raises:
        InputError: an instruction crowds out the article, or a base model can't be had; the candidate is named.
    """
    if not any(each.filter.spec.student.mode == "instruction" for each in candidates):
        return {}
    return {each.name: _terms(store, each) for each in candidates}


def _terms(store: Store, candidate: Candidate) -> Terms:
    from distillery.components.student.resolve import resolve_base
    from distillery.components.student.tokens import Preprocessing, Tokenizing

    student = candidate.filter.spec.student
    try:
        base = resolve_base(student.baseModel, student.revision, store)
        read = Tokenizing(base, Preprocessing(student.maxLength, student.headTail, student_instruction(candidate.filter)))
    except InputError as error:
        what = f"candidate {candidate.name!r}: {error.what}"
        raise InputError(what, where=candidate.where, hint=error.hint, parameter="candidates") from error
    return Terms(read.instruction_tokens, read.room)


def unequal(terms: Mapping[str, Terms]) -> list[str]:
    """Return a sentence for each candidate with an instruction that no candidate without one equals in tokens of an article.

    Args:
        terms: by name of the candidate.

    Returns:
        Sentences; none where no modes are compared, or all on equal terms.
    """
    plain = {name: its.article for name, its in terms.items() if not its.instruction}
    found = []
    for name, its in terms.items():
        if not its.instruction or not plain or its.article in plain.values():
            continue
        nearest = min(plain, key=lambda other: (abs(plain[other] - its.article), other))
        more = plain[nearest] - its.article
        change = f"{'raise' if more > 0 else 'lower'} its student.maxLength by {abs(more)}"
        found.append(
            f"Modes are not compared on equal terms: {name} reads {its.article} tokens of an article behind "
            f"{its.instruction} of its instruction, {nearest} reads {plain[nearest]}; {change} for that."
        )
    return found
