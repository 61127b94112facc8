"""The list of the parts that a Job has left to do: read as it was written, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.scoring.plan import put_todo, todo_list
from distillery.components.store import Store, digest_bytes, open_store
from distillery.components.store.layout import todo_key
from distillery.filters.errors import InputError


@pytest.fixture
def out(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "out"))


@pytest.mark.parametrize("indexes", [[], [0], [1, 2, 3, 7, 9, 10], list(range(0, 50, 2))])
def test_the_list_of_what_is_left(out: Store, indexes: list[int]) -> None:
    assert todo_list(out, put_todo(out, indexes)) == indexes


def test_a_list_of_what_is_left_that_was_altered_is_refused(out: Store) -> None:
    digest = put_todo(out, [1, 2, 3, 7])
    key, written = todo_key(digest), out.get(todo_key(digest))
    for place in range(len(written)):
        out.put(key, written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
        with pytest.raises(InputError, match=r"other bytes than its digest names.*end its Job \(--cancel\), and score"):
            todo_list(out, digest)
    for data in (b"", written[:-1], written + b" "):
        out.put(key, data)
        with pytest.raises(InputError, match="holds other bytes than its digest names"):
            todo_list(out, digest)
    for data in (b"[[3, 1]]", b"[[0, 100000]]", b"[[-1, 2]]"):  # its digest is right
        other = digest_bytes(data)
        out.put(todo_key(other), data)
        with pytest.raises(InputError, match="names parts that can't be"):
            todo_list(out, other)
    for data in (b"{}", b"nonsense"):
        other = digest_bytes(data)
        out.put(todo_key(other), data)
        with pytest.raises(InputError, match="is no list of parts"):
            todo_list(out, other)
