"""The check before the first call: do the prompts hold the articles' own text?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from distillery.components.articles.articles import Article
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.prompt import render_prompt

WORDS_THAT_COUNT: Final = 50


def check_prompts(flt: Filter, sample: Sequence[Article]) -> None:
    """Raise where the prompt crowds out the articles or makes different articles look the same.

    Args:
        flt: the filter, whose prompt is rendered with and without each article.
        sample: distinct articles.

    Raises:
        InputError: half of the articles add less than half of their first 50 words to the empty prompt, or most prompts are
            equal to another.
    """
    bare = len(render_prompt(flt, "", "").split())
    prompts = [render_prompt(flt, article.title, article.content) for article in sample]
    wanted = [min(WORDS_THAT_COUNT, len(f"{article.title} {article.content}".split())) for article in sample]
    share = median((len(prompt.split()) - bare) / max(1, words) for prompt, words in zip(prompts, wanted, strict=True))
    where, hint = "spec.oracle.maxWords", "raise oracle.maxWords, or strip what all articles begin with"
    if share < 0.5:
        raise InputError(
            f"the prompt crowds out the article: half of them keep less than {max(0, share):.0%} of "
            f"their first {WORDS_THAT_COUNT} words",
            where=where,
            hint=hint,
        )
    if len(sample) > 1 and len(set(prompts)) * 2 <= len(sample):
        raise InputError(
            f"{len(sample)} different articles give only {len(set(prompts))} different prompts: what tells "
            "them apart is cut off",
            where=where,
            hint=hint,
        )
