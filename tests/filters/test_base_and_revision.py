"""A base model and its revision go together: whoever names another base gives it a revision of its own."""

from __future__ import annotations

import re

import pytest

from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter, load_filter, load_filter_text, with_overrides

SHIPPED = "uplifting"
OLD = load_filter(SHIPPED).spec.student


@pytest.mark.parametrize(
    "overrides",
    [
        ["student.baseModel=Qwen/Qwen2.5-3B"],
        ["training.epochs=1", 'student["baseModel"]=Qwen/Qwen2.5-3B', "student.maxLength=128"],
        ["spec.student.baseModel=org/name.with_dots-1"],
    ],
)
def test_another_base_with_the_revision_of_the_former_is_refused(overrides: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        load_filter(SHIPPED, overrides=overrides)
    new = re.search(r"baseModel[^=]*=(.*)", " ".join(overrides))
    assert new is not None
    name = new[1].split()[0]
    assert str(OLD.revision) in refused.value.what
    assert f"--set student.revision=COMMIT, a commit of {name}" in refused.value.hint
    with pytest.raises(InputError):
        with_overrides(load_filter(SHIPPED), overrides)


@pytest.mark.parametrize(
    ("overrides", "revision"),
    [
        (["student.baseModel=a/b", "student.revision=v1"], "v1"),
        (["student.revision=v1", "student.baseModel=a/b"], "v1"),
        (["student.baseModel=a/b", "student.revision=null"], None),
        (["student.baseModel=a/b", f"student.revision={OLD.revision}"], OLD.revision),  # said, so it is meant
        ([f"student.baseModel={OLD.baseModel}"], OLD.revision),
        (["student={baseModel: a/b}"], None),
        (["student={baseModel: a/b, revision: v1}"], "v1"),
        (["student.maxLength=64"], OLD.revision),
    ],
)
def test_a_revision_that_was_given_stays(overrides: list[str], revision: str | None) -> None:
    assert load_filter(SHIPPED, overrides=overrides).spec.student.revision == revision
    assert with_overrides(load_filter(SHIPPED), overrides).spec.student.revision == revision


@pytest.mark.parametrize("base", ["/models/mine", "./mine", "mine", "s3://bucket/mine", "package://mine", "a/b/c"])
def test_what_has_no_revisions_loses_the_former_one(base: str) -> None:
    student = load_filter(SHIPPED, overrides=[f"student.baseModel={base}"]).spec.student
    assert (student.baseModel, student.revision) == (base, None)


def test_a_profile_is_held_to_the_same(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "filters" / "profiles"
    folder.mkdir(parents=True)
    (folder / "large.yaml").write_text("student:\n  baseModel: org/large\n")
    (folder / "pinned.yaml").write_text("student:\n  baseModel: org/large\n  revision: v2\n")
    text = dump_filter(load_filter(SHIPPED))
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not one of org/large"):
        load_filter_text(text, "filter.yaml", profile="large")
    assert load_filter_text(text, "filter.yaml", profile="pinned").spec.student.revision == "v2"
    assert load_filter_text(text, "filter.yaml", profile="laptop").spec.student.revision is None


def test_a_file_says_what_it_likes() -> None:
    flt = load_filter(SHIPPED)
    assert isinstance(load_filter_text(dump_filter(flt).replace(flt.spec.student.baseModel, "a/b"), "f"), Filter)
