"""Base models mirrored in a store: found where the package or the hub is not, under the same digest."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distillery.components.store import NotFound, Store, StoreError, canonical_json, open_store
from distillery.components.store.layout import model_pointer_key
from distillery.components.student.mirror import find, mirrored, push
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from distillery.pipelines.cli.models import app


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DISTILLERY_MODELS", "DISTILLERY_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "file":
        return open_store(str(tmp_path / "store"))
    import boto3

    endpoint = request.getfixturevalue("s3")
    keys = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{tmp_path.name.replace('_', '-').lower()}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return open_store(f"s3://{bucket}/models-of-us")


@pytest.fixture
def package(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `carries_weights` with a model inside."""
    folder = tmp_path / "site" / "carries_weights"
    shutil.copytree(tiny_encoder, folder / "model")
    (folder / "__init__.py").write_text("raise RuntimeError('weights need no code')")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def uninstall(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(package.parent)])


def test_a_package_is_found_in_the_mirror_once_it_is_gone(
    store: Store, package: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    ref = "package://carries_weights"
    here = resolve_base(ref)
    push(store, here, "carries_weights", None)
    uninstall(package, monkeypatch)
    there = resolve_base(ref, None, store)
    assert there.path == cache / "models" / here.digest
    assert there.facts() == here.facts()  # so the adapters, and their records, are the same


def test_models_has_its_own_store(store: Store, package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = resolve_base("package://carries_weights")
    push(store, here, "carries_weights", None)
    uninstall(package, monkeypatch)
    monkeypatch.setenv("DISTILLERY_MODELS", store.uri)
    assert resolve_base("package://carries_weights", None, open_store(str(tmp_path / "runs"))).digest == here.digest
    with pytest.raises(InputError, match="not installed"):
        resolve_base("package://carries_weights", None, mirrors=False)


def test_neither_package_nor_mirror_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not installed, and no such model in file://.*models push package://nowhere"):
        resolve_base("package://nowhere", None, open_store(str(tmp_path / "store")))


def test_a_second_push_sends_nothing(store: Store, tiny_encoder: Path) -> None:
    base = resolve_base(str(tiny_encoder))
    first, wrote = push(store, base, "org/tiny", "v1")
    assert wrote
    etags = {key: store.etag(key) for key in store.keys("models")}
    assert push(store, base, "org/tiny", "v1") == (first, False)
    assert {key: store.etag(key) for key in store.keys("models")} == etags
    assert list(mirrored(store)) == [first]


def test_a_push_that_was_killed_goes_on_and_shows_nothing_before(store: Store, tiny_encoder: Path) -> None:
    base = resolve_base(str(tiny_encoder))

    def killed(done: int, total: int | None = None, unit: str = "", **facts: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(store, base, "org/tiny", "v1", progress=killed)  # type: ignore[arg-type]
    assert find(store, "org/tiny", "v1") is None
    push(store, base, "org/tiny", "v1")
    assert resolve_base("org/tiny", "v1", store).digest == base.digest


def test_a_name_keeps_its_bytes_unless_told(store: Store, tiny_encoder: Path, tiny_decoder: Path) -> None:
    push(store, resolve_base(str(tiny_encoder)), "org/tiny", "v1")
    other = resolve_base(str(tiny_decoder))
    with pytest.raises(InputError, match=r"means other bytes there.*--replace"):
        push(store, other, "org/tiny", "v1")
    push(store, other, "org/tiny", "v1", replace=True)
    assert resolve_base("org/tiny", "v1", store).digest == other.digest


def test_altered_weights_are_refused(store: Store, tiny_encoder: Path, cache: Path) -> None:
    found, _ = push(store, resolve_base(str(tiny_encoder)), "org/tiny", None)
    key = f"{found.prefix}/{found.manifest}/model.safetensors"
    data = bytearray(store.get(key))
    data[-1] ^= 1
    store.put(key, bytes(data))
    with pytest.raises(StoreError, match="other bytes than its digest names"):
        resolve_base("org/tiny", None, store)
    assert not list((cache / "models").iterdir())


@pytest.mark.parametrize("fault", ["base", "file", "pointer", "manifest"])
def test_a_mirror_is_not_trusted(fault: str, tiny_encoder: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    found, _ = push(store, resolve_base(str(tiny_encoder)), "org/tiny", None)
    key, words = model_pointer_key("org/tiny", "main"), "not a model's pointer"
    pointer = store.get_json(key)
    if fault == "base":
        pointer["base"], words = "0" * 64, r"not the base model.*; delete its model\.json and push the model again"
    elif fault == "file":
        (tmp_path / "run.py").write_text("print('hello')")
        files = {"run.py": tmp_path / "run.py", "config.json": tiny_encoder / "config.json"}
        pointer["manifest"], words = store.commit(found.prefix, files, {}), "no base model needs"
    elif fault == "pointer":
        pointer["manifest"] = 5
    else:
        pointer["manifest"], words = "1" * 64, "lacks the manifest"
    store.put(key, canonical_json(pointer))
    with pytest.raises(InputError, match=words):
        resolve_base("org/tiny", None, store)


@pytest.mark.parametrize("name", ["../up", "a/b/c", "name@rev", ""])
def test_names_no_mirror_can_have(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be a model's name"):
        push(open_store(str(tmp_path / "store")), resolve_base(str(tiny_encoder)), name, None)


def test_the_command(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no store lies above, as one does beside the code after a run of the demo
    monkeypatch.delenv("DISTILLERY_STORE", raising=False)
    runner, store = CliRunner(), str(tmp_path / "store")
    told = runner.invoke(app, ["push", str(tiny_encoder), "--as", "org/tiny", "--revision", "v2", "--store", store])
    assert told.exit_code == 0, told.output
    assert "org/tiny@v2" in told.stdout
    assert "pushed" in told.stdout
    again = runner.invoke(app, ["push", str(tiny_encoder), "--as", "org/tiny", "--revision", "v2", "--store", store])
    assert "was there" in again.stdout
    assert "org/tiny@v2  encoder" in runner.invoke(app, ["list", "--store", store]).stdout
    with pytest.raises(InputError, match="--as"):
        runner.invoke(app, ["push", str(tiny_encoder), "--store", store], catch_exceptions=False)
    with pytest.raises(InputError, match="--store"):
        runner.invoke(app, ["list"], catch_exceptions=False)


def test_an_absent_store_object_is_no_pointer(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    assert find(store, "org/tiny", None) is None
    assert find(store, "./folder", None) is None
    assert find(store, "org/tiny", "feature/branch") is None
    with pytest.raises(NotFound):
        store.get(model_pointer_key("org/tiny", "main"))
