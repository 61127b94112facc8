"""What else has to do with a student that names content types: other engines and precisions, and places it is copied to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distillery.components.artifacts.serving import Plan
from distillery.components.sharing.bundle_reader import read_files
from distillery.components.store import MANIFEST, Digest, Store, StoreError, open_store
from distillery.components.store.layout import adapters_folder
from distillery.components.student.bundle import check_golden, open_bundle, require_bundle
from distillery.components.student.parity import _compare
from distillery.components.training.train import train
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.training.typed import typed_filter, typed_labels, typed_split

Typed = tuple[Store, Filter, str]


@pytest.fixture(scope="module", params=["tiny_encoder", "tiny_decoder"])
def typed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Typed:
    store = open_store(str(tmp_path_factory.mktemp("typed")))
    flt = typed_filter(request.getfixturevalue(request.param), epochs=1)
    return store, flt, str(train(store, flt, split=typed_split(store)).outputs["adapter"])


def test_openvino_names_what_torch_names(typed: Typed) -> None:
    pytest.importorskip("openvino")
    store, flt, adapter = typed
    plain = open_bundle(store, "tiny", adapter, flt=flt)
    served = open_bundle(store, "tiny", adapter, flt=flt, plan=Plan(engine="openvino"))
    check_golden(served)
    texts = [(label.article.title, label.article.content) for label in typed_labels(30, 9)]
    (raw, ours), (wanted, theirs) = (each.with_probabilities(each.tokens(texts)) for each in (served, plain))
    assert np.abs(raw - wanted).max() < 1e-4
    assert ours.shape == (30, 2)
    assert np.abs(ours - theirs).max() < 1e-4
    assert served.read(texts).content_types == plain.read(texts).content_types


def test_a_plan_that_names_other_types_may_not_serve(typed: Typed) -> None:
    store, flt, adapter = typed
    student = open_bundle(store, "tiny", adapter, flt=flt)
    labels = typed_labels(60, 9)
    tokens = student.tokens([(label.article.title, label.article.content) for label in labels])
    scores = np.array([[label.scores[name] for name in flt.dimensions] for label in labels])
    raw, named = student.read_tokens(tokens)
    assert named is not None
    candidate = _compare(flt, replace(student, _forward=None), tokens, scores, raw, named)
    assert candidate.passed
    assert candidate.tiers_flipped == 0
    assert student.types is not None
    rows = [row.model_copy(update={"threshold": None}) for row in student.types.file.types]
    mute = replace(student.types, file=student.types.file.model_copy(update={"types": rows}))
    with pytest.raises(InputError, match=r"names other content types of \d+ articles"):
        _compare(flt, replace(student, types=mute, _forward=None), tokens, scores, raw, named)


def test_a_copy_keeps_the_head(typed: Typed) -> None:
    store, _, adapter = typed
    folder = store.folder(adapters_folder("tiny"), Digest(adapter))
    files = {name: folder.read(name) for name in require_bundle(folder)}
    manifest = store.get(f"{folder.prefix}/{MANIFEST}", digest=Digest(adapter))
    assert read_files({**files, MANIFEST: manifest}, "here").files == files
    del files["content_types.json"]
    with pytest.raises(InputError, match=r"lacks content_types\.json"):
        read_files({**files, MANIFEST: manifest}, "here")


def test_a_bundle_whose_head_is_damaged_is_refused(typed: Typed, tmp_path: Path) -> None:
    store, flt, adapter = typed
    folder = store.folder(adapters_folder("tiny"), Digest(adapter))
    files = {name: folder.read(name) for name in require_bundle(folder)}
    other = open_store(str(tmp_path / "other"))
    files["content_types.json"] = b'{"format": 1}'
    digest = other.commit(adapters_folder("tiny"), files, folder.meta)
    with pytest.raises(StoreError, match=r"content_types\.json: is not the content_types\.json of a bundle: ") as caught:
        open_bundle(other, "tiny", digest, flt=flt)
    assert "\n" not in str(caught.value)
    at = next((tmp_path / "other").rglob("content_types.json"))
    at.chmod(0o644)
    at.write_bytes(b"{}")
    with pytest.raises(StoreError, match=r"content_types\.json") as caught:
        open_bundle(other, "tiny", digest, flt=flt)
    assert "\n" not in str(caught.value)
