"""What can become of a document: cut, emptied, of another type, of another form, or no file at all. Seeded."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from typing import Any

OTHER = [None, True, -1, 0, 2.5, 10**30, "", "text", "\ud800", [], [1], {}, {"a": {"b": []}}]


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))] if data else b""


def empty(data: bytes, rng: random.Random) -> bytes:
    return b""


def garbage(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([1, 7, 300]))


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(data)))
    return data[:at] + bytes([(data or b"0")[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def zeroed(data: bytes, rng: random.Random) -> bytes:
    """What a power cut leaves of a file whose blocks were never written."""
    at = rng.randrange(max(1, len(data)))
    return data[:at] + bytes(max(1, len(data) - at))


def other_json(data: bytes, rng: random.Random) -> bytes:
    return _dump(rng.choice(OTHER))


def deep(data: bytes, rng: random.Random) -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def swapped(data: bytes, rng: random.Random) -> bytes:
    """A value of another type, somewhere."""
    return _changed(data, rng, lambda parent, name: parent.__setitem__(name, rng.choice(OTHER)))


def lacking(data: bytes, rng: random.Random) -> bytes:
    return _changed(data, rng, lambda parent, name: parent.__delitem__(name))


def surplus(data: bytes, rng: random.Random) -> bytes:
    def add(parent: Any, name: Any) -> None:
        if isinstance(parent, dict):
            parent["unheard of"] = 1
        else:
            parent.append(rng.choice(OTHER))

    return _changed(data, rng, add)


def not_finite(data: bytes, rng: random.Random) -> bytes:
    return _changed(data, rng, lambda parent, name: parent.__setitem__(name, rng.choice([float("nan"), float("inf")])))


def newer(data: bytes, rng: random.Random) -> bytes:
    return _changed(data, rng, lambda parent, name: None, top={"format": rng.choice([2, 3, 99, "1", None, -1])})


def no_digest(data: bytes, rng: random.Random) -> bytes:
    """A digest that names an object, with a letter that no digest has."""
    digests = [*re.finditer(rb'"[0-9a-f]{64}"', data)]
    if not digests:
        return flipped(data, rng)
    start = rng.choice(digests).start() + rng.randint(1, 64)
    return data[:start] + b"g" + data[start + 1 :]


def by_other_tools(data: bytes, rng: random.Random) -> bytes:
    """What version control, editors, downloads and copies make of a file."""
    made: list[Callable[[], bytes]] = [
        lambda: data.replace(b"\n", b"\r\n") + b"\r\n",
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data.decode("utf-8", "replace").encode("utf-16"),
        lambda: gzip.compress(data, mtime=0),
        lambda: data + data,
        lambda: b"<<<<<<< ours\n" + data + b"\n=======\n" + data + b"\n>>>>>>> theirs\n",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n",
        lambda: b"<!DOCTYPE html><html><title>403 Forbidden</title></html>",
        lambda: b"// edited by hand\n" + data,
        lambda: re.sub(rb'"[0-9a-f]{64}"', lambda digest: digest[0].upper(), data),
    ]
    return rng.choice(made)()


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    each.__name__: each
    for each in (
        cut,
        empty,
        garbage,
        flipped,
        zeroed,
        other_json,
        deep,
        swapped,
        lacking,
        surplus,
        not_finite,
        newer,
        no_digest,
        by_other_tools,
    )
}


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _changed(data: bytes, rng: random.Random, change: Callable[[Any, Any], None], top: dict[str, Any] | None = None) -> bytes:
    """Change one place of a JSON document, or of one of its lines; bytes where it is none."""
    lines = data.splitlines() if data.startswith(b"{") and b"\n{" in data else [data]
    at = rng.randrange(len(lines))
    try:
        document = json.loads(lines[at])
    except ValueError:
        return flipped(data, rng)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        names = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, below in list(names):
            places.append((value, name))
            walk(below)

    walk(document)
    if places:
        change(*rng.choice(places))
    if top and isinstance(document, dict):
        document |= top
    lines[at] = _dump(document)
    return b"\n".join(lines)
