"""Keys: read from the environment or a mounted file, and removed from every text that comes back.

A service may quote the key that it refuses, and such a text would end in a log, a dead letter or a report. So whatever an
oracle passes on goes through `Key.hidden`; and a key that could break a header is refused here, because the HTTP library's
own error would quote it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from distillery.filters.errors import InputError, one_line

HIDDEN = "[key]"
MAX_MESSAGE = 500
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,8192}")


class Key:
    """A secret that never shows: not in `repr`, not in a message that went through `hidden`."""

    __slots__ = ("_value", "where")

    def __init__(self, value: str, where: str) -> None:
        """where: what a user would look at, "environment variable OPENAI_API_KEY"."""
        self._value, self.where = value, where

    def __repr__(self) -> str:
        return f"Key({self.where})"

    def reveal(self) -> str:
        """Return the key, for the client library only.

        Returns:
            The secret.
        """
        return self._value

    def hidden(self, text: str) -> str:
        """Remove the key from a text.

        Args:
            text: any text.

        Returns:
            The text with "[key]" in place of the key.
        """
        return text.replace(self._value, HIDDEN) if self._value else text

    def message(self, text: object) -> str:
        """Shorten a service's message to one line without the key.

        Args:
            text: the message.

        Returns:
            At most 500 characters.
        """
        return one_line(self.hidden(str(text)))[:MAX_MESSAGE]


NO_KEY = Key("", "no key")


def read_key(variable: str) -> Key | None:
    """Read a key from an environment variable, or from the file that <variable>_FILE names.

    Args:
        variable: the variable's name.

    Returns:
        The key; None where neither is set.

    Raises:
        InputError: the file can't be read, or what is there is no key; the error names the variable, never the value.
    """
    where = f"environment variable {variable}"
    value = os.environ.get(variable, "").strip()
    if not value and (path := os.environ.get(f"{variable}_FILE", "").strip()):
        where = f"environment variable {variable}_FILE"
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"its file can't be read: {type(error).__name__}",
                where=where,
                hint="mount the secret, or name the file that holds the key",
            ) from None
        if not value:
            raise InputError("its file is empty", where=where, hint="write the key into it")
    if not value:
        return None
    if not _PRINTABLE.fullmatch(value):
        raise InputError(
            "does not hold a key: it has spaces, line breaks or characters that no key has",
            where=where,
            hint="set it to the key alone",
        )
    return Key(value, where)


def needed_key(variable: str) -> Key:
    """Read a key that must be there.

    Args:
        variable: the name of the environment variable.

    Returns:
        The key.

    Raises:
        InputError: as `read_key`, and where neither variable nor file is set.
    """
    if (key := read_key(variable)) is None:
        raise InputError(
            "is not set",
            where=f"environment variable {variable}",
            hint=f"export {variable}=…, or {variable}_FILE=path of a mounted secret",
        )
    return key
