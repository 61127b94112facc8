"""What a command imports is left alone by Python's garbage collector, which works on what comes afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from distillery.components.runtime.collector import lasting, leave_garbage


class Node:
    """An object that may refer to itself."""

    itself: Node


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def ring() -> weakref.ref[Node]:
    node = Node()
    node.itself = node
    return weakref.ref(node)


def test_what_is_made_within_is_not_looked_through_and_what_comes_later_is() -> None:
    with lasting():
        assert not gc.isenabled()
        within = ring()
    later = ring()
    assert gc.isenabled()
    gc.collect()
    assert within() is not None
    assert later() is None


def test_the_collector_works_again_after_an_import_that_failed() -> None:
    with suppress(ImportError), lasting():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_a_process_that_ends_looks_for_no_garbage() -> None:
    left = ring()
    leave_garbage()
    gc.collect()
    assert left() is not None
