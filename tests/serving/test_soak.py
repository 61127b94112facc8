"""Many requests through promotions and kills: only those in flight at a kill are lost, none mixes adapters, memory is flat.

DISTILLERY_SOAK says how many: DISTILLERY_SOAK=100000 pytest -s -m slow tests/serving/test_soak.py
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from distillery.components.student.bundle import Student
from tests.conftest import WORDS
from tests.serving.made import FILTER, Client, changed, loaded, point, stored

REQUESTS = int(os.environ.get("DISTILLERY_SOAK", "5000"))
CLIENTS, PROMOTIONS, KILLS = 8, 10, 2
TEXTS = [" ".join(random.Random(seed).choices(WORDS.split(), k=5 + seed)) for seed in range(60)]
EQUAL = 1e-4


class Served:
    """The command in a process of its own, at one port, started again after it was killed."""

    def __init__(self, store: Store, port: int) -> None:
        words = ["serve", "demo", "--channel", "production", "--store", store.uri, "--port", str(port), "--poll", "0.2"]
        self.command, self.port = [sys.executable, "-m", "distillery.pipelines.cli.main", *words], port
        self.start()

    def start(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, stdout=pipe, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert self.process.stdout
        assert any(line.startswith("listening") for line in iter(self.process.stdout.readline, ""))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def resident(self) -> int:
        """MB of memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") // 2**20


class Load:
    """Clients that ask until all requests are answered or lost."""

    def __init__(self, port: int, expected: dict[str, Any]) -> None:
        self.port, self.expected, self.left = port, expected, REQUESTS
        self.counts, self.wrong, self.lock = Counter[str](), list[str](), threading.Lock()
        self.threads = [threading.Thread(target=self._ask, args=[number], daemon=True) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _ask(self, number: int) -> None:
        drawn, client = random.Random(number), Client(self.port, 30)
        while self._next():
            picked = drawn.sample(range(len(TEXTS)), drawn.randint(1, 4))
            while True:
                try:
                    client.http.connect() if client.http.sock is None else None
                except OSError:  # nobody listens: nothing was sent, so nothing is lost
                    time.sleep(0.05)
                    continue
                break
            try:
                reply = client.score(*(TEXTS[row] for row in picked))
            except Exception:
                client = Client(self.port, 30)
                self._count("lost")
                time.sleep(0.3)  # a process that was killed takes connections until the kernel has taken it down
                continue
            self._check(reply, picked)

    def _check(self, reply: Any, picked: list[int]) -> None:
        self._count(str(reply.status))
        if reply.status != 200:
            return
        found = reply.json
        self._count(found["adapter"])
        scores = self.expected[found["adapter"]]
        for answer, row in zip(found["scores"], picked, strict=True):
            if any(abs(answer["scores"][name] - scores[row][at]) > EQUAL for at, name in enumerate(FILTER.dimensions)):
                self.wrong.append(f"{found['adapter'][:12]}: {TEXTS[row][:40]}")

    def _next(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def _count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def wait(self, share: float) -> None:
        while self.left > REQUESTS * (1 - share) and any(thread.is_alive() for thread in self.threads):
            time.sleep(0.02)


@pytest.mark.slow
def test_promotions_and_kills_lose_only_what_is_in_flight_at_a_kill(
    store: Store, student: Student, record_property: pytest.RecordProperty
) -> None:
    adapters, expected = [loaded(store).adapter], dict[str, Any]()
    adapters += [stored(store, changed(student, 1 + number / 4)) for number in range(1, 4)]
    for adapter in adapters:
        point(store, adapter)
        model = loaded(store)
        expected[adapter] = model.student.scores(model.student.predict([("", text) for text in TEXTS]))
    point(store, adapters[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = Served(store, port)
    try:
        load, early = Load(port, expected), 0
        steps = PROMOTIONS + KILLS
        for step in range(1, steps + 1):
            load.wait(step / (steps + 1))
            if step % (steps // KILLS) == 0:
                served.kill()
                served.start()
                early = 0
            else:
                point(store, adapters[step % len(adapters)])
                early = early or served.resident()
        load.wait(1.0)
        for thread in load.threads:
            thread.join(60)
        late = served.resident()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(60) == 0
    finally:
        served.kill()
    lost = load.counts.pop("lost", 0)
    record_property("counted", {"answered": load.counts["200"], "lost at kills": lost})
    assert load.wrong == []
    assert lost <= KILLS * CLIENTS
    assert load.counts["200"] + lost == REQUESTS
    assert {adapter for adapter in adapters if load.counts[adapter]} == set(adapters)
    assert not early or late <= 1.3 * early + 50, f"{early} MB early, {late} MB late"
