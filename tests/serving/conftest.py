"""A store whose channel points at a tiny student, and what serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distillery.components.serving.app import Service
from distillery.components.serving.batching import Batcher
from distillery.components.serving.models import Shelf
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import Student
from tests.serving.made import Client, Running, loaded, point, running, stored
from tests.student.conftest import make_student, one_thread

__all__ = ["make_student", "one_thread"]


@pytest.fixture(scope="session")
def student(tiny_encoder: Path, make_student: Callable[[Path], Student]) -> Student:
    return make_student(tiny_encoder)


@pytest.fixture
def store(tmp_path: Path, student: Student) -> Store:
    opened = open_store(str(tmp_path / "store"))
    point(opened, stored(opened, student))
    return opened


@pytest.fixture
def service(store: Store) -> Service:
    return Service(Shelf({"demo": loaded(store)}), Batcher(wait=0.002))


@pytest.fixture
def server(service: Service) -> Iterator[Running]:
    with running(service) as started:
        yield started


@pytest.fixture
def client(server: Running) -> Client:
    return server.client()
