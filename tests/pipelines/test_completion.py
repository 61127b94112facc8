"""What a shell completes: names, keys and what a store holds. It never fails, prints nothing else and writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery.components.store import MANIFEST, open_store
from distillery.components.store.layout import adapters_folder, candidate_key, channel_key
from distillery.pipelines.cli import completion
from tests.pipelines.test_json_output import COMMANDS

DIGEST = "ab12cd34" * 8


def completed(typed: str, cwd: Path) -> list[str]:
    """What bash is offered after `distillery …`; the process must end well and say nothing else."""
    words = ["distillery", *typed.split(" ")]
    environment = {
        **os.environ,
        "_DISTILLERY_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    script = (
        "import sys; sys.argv = ['distillery']\nfrom distillery.pipelines.cli import completion, main\n"
        "completion.SECONDS = 60\nmain.app(prog_name='distillery')"  # a busy machine is no fault of the code
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with an adapter and two channels, as far as a completion reads it."""
    opened = open_store(str(tmp_path / ".distillery"))
    opened.put(f"{adapters_folder('uplifting')}/{DIGEST}/{MANIFEST}", b"{}")
    opened.put(f"{adapters_folder('my-own')}/{DIGEST[::-1]}/{MANIFEST}", b"{}")
    opened.put(channel_key("uplifting", "production"), b"{}")
    opened.put(candidate_key("uplifting", "staging"), b"{}")
    opened.put(channel_key("my-own", "elsewhere"), b"{}")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("plan upl", ["uplifting"]),
        ("plan uplifting/", ["uplifting/v4"]),
        ("filters lint uplifting inv", ["investment-risk"]),
        ("filters diff uplifting sus", ["sustainability-technology"]),
        ("plan uplifting --profile l", ["laptop"]),
        ("plan uplifting --set training.epochs", ["training.epochs="]),
        ("plan uplifting --set student.l", ["student.lora."]),
        ("plan uplifting --set promotion.approval=", ["promotion.approval=none", "promotion.approval=required"]),
        ("plan uplifting --set gates[0].metric=rm", ["gates[0].metric=rmse"]),
        ("plan uplifting --marks p", ["prefilter"]),
        ("explain spec.training.pa", ["spec.training.patience"]),
        ("explain sp", ["spec."]),
        ("filters metrics tier_r", ["tier_recall"]),
        ("score ab", [DIGEST[:12]]),
        ("approve uplifting ab", []),
        ("promote 43", [DIGEST[::-1][:12]]),
        ("rollback uplifting --to ", [DIGEST[:12]]),
        ("history uplifting --channel ", ["production", "staging"]),
        ("promote ab12cd34 --to e", ["elsewhere"]),
        ("get ad", ["adapters"]),
        ("describe adapters ab", [DIGEST[:12]]),
        ("describe channel uplifting/s", ["uplifting/staging"]),
        ("get runs upl", ["uplifting"]),
    ],
)
def test_it_completes(typed: str, wanted: list[str], store: Path) -> None:
    assert completed(typed, store) == wanted


def test_the_store_that_is_typed_is_read(store: Path, tmp_path: Path) -> None:
    elsewhere, below = tmp_path.with_name(f"{tmp_path.name}-elsewhere"), tmp_path / "below"
    elsewhere.mkdir()
    below.mkdir()
    assert completed("history uplifting --channel ", elsewhere) == []
    assert completed("history uplifting --channel p", below) == ["production"], "the nearest one upward"
    assert completed(f"history uplifting --store {store / '.distillery'} --channel p", elsewhere) == ["production"]
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("fault", ["a file", "a torn channel", "no right to read", "nothing"])
def test_a_store_that_cannot_be_read_completes_nothing_and_is_left_alone(fault: str, tmp_path: Path) -> None:
    place = tmp_path / ".distillery"
    if fault == "a file":
        place.write_text("no store")
    elif fault == "a torn channel":
        (place / "channels" / "uplifting").mkdir(parents=True)
        (place / "channels" / "uplifting" / "x.json").write_bytes(b"{")
    elif fault == "no right to read":
        place.mkdir(mode=0)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert completed("approve uplifting a", tmp_path) == []
    assert completed("describe adapters a", tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    if fault == "no right to read":
        place.chmod(0o700)


def test_a_store_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(completion, "SECONDS", 0.05)

    def slow() -> list[tuple[str, str]]:
        print("a library says this")
        time.sleep(5)
        return [("late", "")]

    assert completion._completed(slow, "") == []
    assert completion._completed(lambda: [("here", ""), ("there", "")], "h") == [("here", "")]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SystemExit(3), RuntimeError("x")])
def test_what_fails_completes_nothing(fault: BaseException) -> None:
    def fails() -> list[tuple[str, str]]:
        raise fault

    assert completion._completed(fails, "") == []


def test_every_argument_and_option_that_names_something_known_is_completed() -> None:
    completes = {
        (name, parameter.name): parameter._custom_shell_complete is not None
        for name, command in COMMANDS.items()
        for parameter in command.params
        if parameter.name in {"filter", "filters", "subject", "adapter", "profile", "channel", "set", "old", "new", "kind"}
    }
    assert len(completes) > 60
    assert [place for place, completed in completes.items() if not completed] == []
