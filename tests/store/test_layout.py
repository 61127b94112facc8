"""Keys: each is what it always was, and only the layout spells one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.components.store import Store, layout
from distillery.filters.errors import InputError

ROOT = Path(__file__).parents[2]
LAYOUT = sorted((ROOT / "components/store/layout").glob("*.py"))
PRODUCT = ("components", "pipelines", "filters", "images")
METHODS = {"commit", "entries", "folder", "folders", "keys"}  # of Store: they take a folder
A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.mark.parametrize(
    ("key", "was"),
    [
        (layout.committed_key(layout.SAMPLES, A), f"samples/{A}/manifest.json"),
        (layout.committed_key(layout.LABEL_SETS, A, "labels.parquet"), f"labelsets/{A}/labels.parquet"),
        (layout.committed_key(layout.AUDITS, A, "audit.json"), f"audits/{A}/audit.json"),
        (layout.committed_key(layout.SPLITS, A, "test.parquet"), f"datasets/{A}/test.parquet"),
        (layout.committed_key(layout.adapters_folder("demo"), A), f"adapters/demo/{A}/manifest.json"),
        (layout.published_filter_key("demo", 3, A), f"filters/demo/v3/{A}.yaml"),
        (layout.model_folder("org/tiny", "main"), "models/org/tiny@main"),
        (layout.model_pointer_key("org/tiny", "main"), "models/org/tiny@main/model.json"),
        (layout.input_key(A, "articles.jsonl.gz"), f"inputs/{A}/articles.jsonl.gz"),
        (layout.journal_folder("demo", A), f"labels/demo/{A}"),
        (layout.journal_segment_key(f"labels/demo/{A}", 7), f"labels/demo/{A}/000007.jsonl"),
        (layout.run_lock_key(f"labels/demo/{A}"), f"labels/demo/{A}/run.json"),
        (layout.calibration_key("demo", A, B), f"calibrations/demo/{A}-{B}.json"),
        (layout.calibration_attempts_key("demo"), "calibrations/demo/attempts.json"),
        (layout.review_key("demo", A), f"calibrations/demo/reviews/{A}.html"),
        (layout.noise_key("demo", A, B), f"noise/demo/{A}-{B}.json"),
        (layout.reviewed_key("demo", A), f"reviews/demo/{A}.json"),
        (layout.frozen_key("demo", A), f"datasets/frozen/demo/{A}.json"),
        (layout.checkpoint_key(A), f"checkpoints/{A}/state.pt"),
        (layout.duplicates_key(A), f"duplicates/{A}.parquet"),
        (layout.baselines_key(A, B), f"baselines/{A}/{B}.parquet"),
        (layout.predictions_key(A, B, C), f"judgements/{A}/{B}/predictions/{C}.parquet"),
        (layout.benchmark_key(A, B, C), f"judgements/{A}/{B}/benchmark/{C}.json"),
        (layout.measured_key(A), f"judgements/{A}/measured.json"),
        (layout.verdict_key("demo", A), f"verdicts/demo/{A}.json"),
        (layout.channel_key("demo", "stable"), "channels/demo/stable.json"),
        (layout.candidate_key("demo", "stable"), "channels/demo/stable.candidate.json"),
        (layout.intent_key("demo", "stable"), "intents/demo/stable.json"),
        (layout.listing_key("demo", A), f"listings/demo/{A}.json"),
        (layout.step_record_key("split", A), f"steps/split/{A}.json"),
        (layout.claim_key(A), f"runs/{A}.json"),
        (layout.run_record_key("r1", "split"), "runs/r1/split.json"),
        (layout.failure_key("r1"), "runs/r1/failure.json"),
        (layout.cancelled_key("r1"), "runs/r1/cancelled.json"),
        (layout.events_key("r1", "split"), "runs/r1/events/split.jsonl"),
        (layout.report_key("r1"), "runs/r1/report.html"),
        (layout.report_key("r1", "md"), "runs/r1/report.md"),
        (layout.log_key("r1"), "runs/r1/run.log"),
        (layout.summary_key(A), f"summaries/{A}.json"),
        (layout.adapters_beginning_key("0123abcd"), "summaries/beginning/0123abcd.json"),
        (layout.last_summary_key("demo"), "summaries/last/demo.json"),
        (layout.scores_folder(A), f"scores/{A}"),
        (layout.part_key(12, "parquet"), "part-00012.parquet"),
        (layout.part_facts_key(12), "_job/part-00012.json"),
        (layout.part_rejects_key(12), "_job/rejects-00012.jsonl"),
        (layout.todo_key(A), f"_job/todo-{A}.json"),
        (layout.SCORING_PLAN, "_job/plan.json"),
    ],
)
def test_stores_made_earlier_keep_their_keys(key: str, was: str) -> None:
    assert key == was


@pytest.mark.parametrize(
    ("file_name", "kept"),
    [
        ("a b (1).jsonl", "a-b-1-.jsonl"),
        ("ünïcode.jsonl", "-n-code.jsonl"),
        (".hidden", "hidden"),
        ("..", "input"),
        ("../../etc/passwd", "-..-etc-passwd"),
    ],
)
def test_any_file_name_becomes_part_of_a_key(file_name: str, kept: str, store: Store) -> None:
    assert layout.input_key(A, file_name) == f"inputs/{A}/{kept}"
    store.put(layout.input_key(A, file_name), b"rows")


def test_a_name_that_cannot_stand_in_a_key_is_refused() -> None:
    with pytest.raises(InputError, match="can't be a name in the store"):
        layout.channel_key("demo", "../stable")
    with pytest.raises(InputError, match="verdict"):
        layout.verdict_key("demo", "0")


def test_a_model_is_read_off_its_pointer() -> None:
    assert layout.model_of_pointer(layout.model_pointer_key("org/tiny", "v1")) == ("org/tiny", "v1")
    others = ("models/org/tiny@v1/config.json", "models/tiny/model.json", "elsewhere/tiny@v1/model.json")
    assert [layout.model_of_pointer(key) for key in others] == [None] * 3


def constants(tree: ast.AST) -> dict[str, str]:
    """Return the names that are assigned one text."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found |= {target.id: value.value for target in targets if isinstance(target, ast.Name)}
    return found


def template(node: ast.AST | None, known: dict[str, str]) -> str:
    """Return the text that an expression makes, with {} for whatever isn't a text of this file."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id, "{}")
    if isinstance(node, ast.FormattedValue):
        return template(node.value, known)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, known) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left, known) + template(node.right, known)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join" and node.args:
        parts = node.args[0].elts if isinstance(node.args[0], (ast.List, ast.Tuple)) else []
        return template(node.func.value, known).join(template(part, known) for part in parts)
    return "{}"


def templates(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line and template of every text in a module, docstrings left out; True where a store is handed it as a folder."""
    tree = ast.parse(source)
    known = constants(tree)
    plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and node.args:
            yield node.lineno, template(node.args[0], known), True
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call)) and id(node) not in plain:
            yield node.lineno, template(node, known), False


def roots() -> set[str]:
    """Return the first folder of every key that the layout makes."""
    texts = [text for path in LAYOUT for _, text, _ in templates(path.read_text("utf-8"))]
    made = {text.partition("/")[0] for text in texts if re.match(r"_?[a-z]+/", text)}
    return made | {layout.SAMPLES, layout.LABEL_SETS, layout.AUDITS, layout.SPLITS, layout.MODELS, layout.SUMMARIES}


def spelled(source: str) -> list[str]:
    """Return "line: text" for each text of a module that begins with a folder of the store and goes on, or is handed to one."""
    folder = "|".join(sorted(roots()))
    begins = re.compile(rf"(\{{\}}/|s3://[^/]*/)?/?({folder})/.")
    whole = re.compile(rf"({folder})/?")
    return sorted(
        {
            f"{line}: {text}"
            for line, text, folder_of_store in templates(source)
            if begins.match(text) or (folder_of_store and whole.fullmatch(text))
        }
    )


def test_the_folders_are_those_of_the_docstring() -> None:
    assert layout.__doc__ is not None
    assert roots() == set(re.findall(r"^    (_?[a-z]+)/", layout.__doc__, re.MULTILINE)) | {
        "_job",
        "probe",
    }  # within scores; of old


def test_only_the_layout_spells_a_key() -> None:
    files = [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 100
    faults = {
        path.relative_to(ROOT).as_posix(): found
        for path in files
        if path not in LAYOUT and (found := spelled(path.read_text("utf-8")))
    }
    assert not faults


@pytest.mark.parametrize(
    "code",
    [
        'key = "runs/last/report.html"',
        'key = f"verdicts/{name}/{digest}.json"',
        'address = f"{store.uri}/scores/{job}"',
        'key = "summaries/" + adapter + ".json"',
        'key = "/".join(["labels", name, digest])',
        'key = "".join(("noise/", name))',
        'FOLDER = "models"\nkey = f"{FOLDER}/{name}"',
        'store.folder("labelsets", digest)',
        'AUDITS = "audits"\nstore.commit(AUDITS, files, {})',
        'for key in store.keys("summaries/"):\n    pass',
        'PLAN = "_job/plan.json"',
    ],
)
def test_a_key_spelled_elsewhere_is_found(code: str) -> None:
    assert spelled(f'"""A module that says runs/last."""\n{code}\n')


def test_what_is_no_key_passes() -> None:
    assert not spelled(
        '"""runs/<run>/report.html"""\nwhere = "filters/"\nname = f"publishers/google/models/{model}"\nstep = "labels"\n'
    )
