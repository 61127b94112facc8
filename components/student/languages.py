"""Which languages a base model was made for, as far as its name tells; a base that is not known here may know any.

What is listed says "English" in its model card. A student on such a base learns another language from its labels alone.
"""

from __future__ import annotations

import re
from typing import Final

# Last parts of the names of bases that were trained on English alone, in small letters with hyphens; what follows is a version.
ENGLISH: Final = re.compile(
    r"(gt-)?all-minilm-l(6|12)-v[12]|all-(mpnet-base|distilroberta|roberta-large)-v[12]|multi-qa-(minilm|mpnet)-.*"
    r"|(llm-)?smollm2?(-.*)?|(distil)?gpt2(-medium|-large|-xl)?|pythia-.*|opt-[0-9.]+[mb]|tinyllama-.*"
    r"|(distil)?bert-(base|large)-(un)?cased|(distil)?roberta-(base|large)|deberta-v3-.*|modernbert-.*"
    r"|electra-(small|base|large)-(discriminator|generator)|(bge|gte)-(small|base|large)-en.*|e5-(small|base|large)(-v2)?"
)


def languages_of(ref: str) -> frozenset[str] | None:
    """Return the languages that a base model was made for.

    Args:
        ref: what a filter calls it: a hub id, a folder, an address or a package.

    Returns:
        Codes of languages; None where its name tells nothing.
    """
    name = re.sub(r"[_\s]+", "-", ref.casefold().replace("\\", "/").rstrip("/").rpartition("/")[2]).partition("@")[0]
    return frozenset({"en"}) if ENGLISH.fullmatch(name) else None
