"""A webhook is told how a run ended, in its form, signed; one that fails is a note, and its address is nowhere."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from distillery.components.artifacts.run_summary import Failure
from distillery.components.reporting.publish import publish
from distillery.components.runtime.notify import TRIES, Ended, tell
from distillery.components.runtime.progress import Progress
from distillery.components.store import open_store
from distillery.components.store.layout import failure_key

SECRET = "T0000-a-secret-of-the-path"
ENDED = Ended(
    "demo", "run-7", "promoted", "Promoted to production: MAE 0.75 <b> & more.", "a" * 64, "s3://b/runs/run-7/report.html"
)


class Notes(Progress):
    def __init__(self) -> None:
        self.lines = list[str]()

    def note(self, text: str) -> None:
        self.lines.append(text)


class Got(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Webhook:
    """A server that answers with the given statuses, one after the other, the last one for good."""

    def __init__(self) -> None:
        self.statuses, self.got, self.more = [200], list[Got](), dict[str, str]()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                webhook.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status = webhook.statuses.pop(0) if len(webhook.statuses) > 1 else webhook.statuses[0]
                if status == 0:  # hangs up
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in webhook.more.items():
                    self.send_header(name, value)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/services/{SECRET}"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.server.shutdown()
    made.server.server_close()


Tell = Callable[..., tuple[bool, str, list[float]]]


@pytest.fixture
def told(webhook: Webhook) -> Tell:
    """Tells the webhook; returns whether it took it, what was noted, and the pauses."""

    def work(url: str = "", **settings: str) -> tuple[bool, str, list[float]]:
        notes, pauses = Notes(), list[float]()
        named = {f"DISTILLERY_NOTIFY_{name.upper()}": value for name, value in settings.items()}
        environment = {"DISTILLERY_NOTIFY_URL": url or webhook.url, **named}
        took = tell(ENDED, notes, environment, sleep=pauses.append, now=lambda: 1_800_000_000.5)
        return took, "\n".join(notes.lines), pauses

    return work


def test_without_an_address_nobody_is_told_and_nothing_is_said() -> None:
    notes = Notes()
    assert not tell(ENDED, notes, {})
    assert not tell(ENDED, notes, {"DISTILLERY_NOTIFY_URL": " "})
    assert notes.lines == []


def test_plain_json_has_every_part(webhook: Webhook, told: Tell) -> None:
    assert told() == (True, "notified 127.0.0.1", [])
    (got,) = webhook.got
    assert got.path == f"/services/{SECRET}"
    assert got.headers["content-type"] == "application/json"
    assert "x-distillery-signature" not in got.headers
    assert json.loads(got.body) == {"event": "run.ended", **ENDED._asdict(), "text": f"demo: {ENDED.sentence}"}


def test_slack_gets_its_form_with_a_link_and_nothing_of_ours_is_markup(webhook: Webhook, told: Tell) -> None:
    told(form="Slack", link="https://kubeflow.example/#/runs/details/{run}")
    told(form="slack")
    texts = [json.loads(got.body)["text"] for got in webhook.got]
    assert texts[0] == (
        "demo: Promoted to production: MAE 0.75 &lt;b&gt; &amp; more.\n<https://kubeflow.example/#/runs/details/run-7|report>"
    )
    assert texts[1].endswith(f"\nreport: {ENDED.report}")


def test_teams_gets_a_card_with_a_button(webhook: Webhook, told: Tell) -> None:
    told(form="teams", link="https://example.org/{run}")
    told(form="teams")
    cards = [json.loads(got.body)["attachments"][0] for got in webhook.got]
    assert {card["contentType"] for card in cards} == {"application/vnd.microsoft.card.adaptive"}
    assert cards[0]["content"]["body"][0]["text"] == f"demo: {ENDED.sentence}"
    assert cards[0]["content"]["actions"] == [{"type": "Action.OpenUrl", "title": "Report", "url": "https://example.org/run-7"}]
    assert cards[1]["content"]["actions"] == []
    assert ENDED.report in cards[1]["content"]["body"][1]["text"]


@pytest.mark.parametrize("in_file", [False, True])
def test_a_message_is_signed_with_its_time(webhook: Webhook, told: Tell, tmp_path: Path, in_file: bool) -> None:
    (tmp_path / "key").write_text("of-both\n")
    told(**{"key_file": str(tmp_path / "key")} if in_file else {"key": "of-both"})
    (got,) = webhook.got
    assert got.headers["x-distillery-timestamp"] == "1800000000"
    expected = hmac.new(b"of-both", b"1800000000." + got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-distillery-signature"] == f"sha256={expected}"


def test_a_key_that_cannot_be_read_sends_nothing_unsigned(webhook: Webhook, told: Tell, tmp_path: Path) -> None:
    took, note, _ = told(key_file=str(tmp_path / "nowhere"))
    assert not took
    assert webhook.got == []
    assert "DISTILLERY_NOTIFY_KEY_FILE can't be read" in note


@pytest.mark.parametrize("first", [[500, 503], [429, 429], [0, 0]])
def test_what_time_can_mend_is_tried_again_with_growing_pauses(webhook: Webhook, told: Tell, first: list[int]) -> None:
    webhook.statuses = [*first, 200]
    took, _, pauses = told()
    assert took
    assert len(webhook.got) == 3
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0
    assert len({got.body for got in webhook.got}) == 1


def test_the_pause_that_the_webhook_asks_for_is_kept_within_bounds(webhook: Webhook, told: Tell) -> None:
    webhook.statuses, webhook.more = [429, 429, 200], {"retry-after": "7"}
    assert told()[2] == [7.0, 7.0]
    webhook.statuses, webhook.more = [429, 200], {"retry-after": "86400"}
    assert told()[2] == [20.0]


@pytest.mark.parametrize(("status", "tries"), [(500, TRIES), (400, 1), (404, 1), (302, 1), (410, 1)])
def test_a_webhook_that_fails_is_a_note_without_its_address(webhook: Webhook, told: Tell, status: int, tries: int) -> None:
    webhook.statuses, webhook.more = [status], {"location": f"{webhook.url}/elsewhere"}
    took, note, _ = told()
    assert not took
    assert len(webhook.got) == tries
    assert note == f"nobody was notified: the webhook at 127.0.0.1 answers {status}"


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://example.org/{SECRET}",
        f"/{SECRET}",
        f"http://[{SECRET}",
        f"http://example.org:{SECRET}/",
        f"http://user:{SECRET}@127.0.0.1:1/",
        f"http://127.0.0.1:1/{SECRET}",
        f"http://127.0.0.1:1/{SECRET}\r\nX: y",
        f"http://nowhere.invalid/{SECRET}",
        f"http://127.0.0.1:99999/{SECRET}",
    ],
)
def test_no_address_however_wrong_raises_or_is_told(told: Tell, url: str) -> None:
    took, note, _ = told(url)
    assert not took
    assert note.startswith("nobody was notified: ")
    assert SECRET not in note
    assert "\n" not in note


def test_a_form_that_is_none_is_a_note(webhook: Webhook, told: Tell) -> None:
    took, note, _ = told(form="fax")
    assert not took
    assert webhook.got == []
    assert "DISTILLERY_NOTIFY_FORM is one of json, slack, teams" in note


def test_a_run_that_failed_is_told_with_its_failure(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    Failure(step="train", kind="stopped", message="out of memory").put(store, failure_key("run-1"))
    ended = publish(store, "run-1", failed=True, message="").ended
    assert (ended.filter, ended.run, ended.verdict, ended.adapter) == ("", "run-1", "failed", "")
    assert ended.sentence == "Stopped at step train: out of memory."
    assert ended.report == f"{store.uri}/runs/run-1/report.html"


@pytest.mark.parametrize("status", [200, 404])
def test_the_last_step_of_a_run_tells_and_ends_well_whatever_the_webhook_says(
    webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    from distillery.components.reporting.component import report

    webhook.statuses = [status]
    monkeypatch.setenv("DISTILLERY_NOTIFY_URL", webhook.url)
    store = open_store(str(tmp_path / "store"))
    Failure(step="train", kind="stopped", message="out of memory").put(store, failure_key("run-1"))
    pages = {name: SimpleNamespace(path=str(tmp_path / name)) for name in ("html", "verdict")}
    ended = SimpleNamespace(state="FAILED", error_message="")
    report.python_func(store=store.uri, run="run-1", status=ended, **pages)
    assert [json.loads(got.body)["verdict"] for got in webhook.got] == ["failed"]
    assert (tmp_path / "html").is_file()
