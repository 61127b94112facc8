"""How many words a text has, also where a script puts no spaces between them."""

from __future__ import annotations

import re

# Han and kana take about two characters a word; Thai, Lao, Burmese and Khmer about five, vowel signs included.
_DENSE = re.compile("[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f]+")
_LONG = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
_DENSE_CHARACTERS, _LONG_CHARACTERS = 2, 5


def word_count(text: str) -> int:
    """Count the words of a text.

    Args:
        text: any text.

    Returns:
        Words between white space; runs of Chinese or Japanese count one for two characters, those of Thai, Lao, Burmese and
        Khmer one for five.
    """
    if text.isascii():
        return len(text.split())
    count = 0
    for pattern, characters in ((_DENSE, _DENSE_CHARACTERS), (_LONG, _LONG_CHARACTERS)):
        runs = pattern.findall(text)
        if runs:
            count += sum(-(-len(run) // characters) for run in runs)
            text = pattern.sub(" ", text)
    return count + sum(any(character.isalnum() for character in word) or not count for word in text.split())
