"""An image layout holds the bundle's bytes and nothing of the moment; an import takes only what is whole and scores right."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.sharing import oci
from distillery.components.store import canonical_json, open_store
from distillery.components.student.bundle import open_bundle
from distillery.filters.errors import InputError
from tests.pipelines.harness import run_here
from tests.sharing.conftest import ADAPTER, Distillery

NAME = "village-gain"


@pytest.fixture(scope="module")
def layout(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("image") / "layout"
    ran = run_here("export", "oci", "filter.yaml", "--out", out, "--json", cwd=home)
    assert ran.code == 0, ran.err
    assert (ran.json["adapter"], ran.json["difference"] < 1e-3) == (ADAPTER, True)
    return out


@pytest.fixture
def elsewhere(home: Path, tmp_path: Path) -> Path:
    """Another store, which has the base model alone."""
    shutil.copytree(home / ".distillery" / "models", tmp_path / "other" / "models")
    return tmp_path / "other"


def parts(layout: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Index, manifest and layer."""

    def blob(entry: dict[str, Any]) -> bytes:
        return (layout / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")).read_bytes()

    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(index["manifests"][0]))
    return index, manifest, blob(manifest["layers"][0])


def rewritten(layout: Path, layer: bytes, **changes: Any) -> None:
    """Put another layer into a layout, with digests that fit."""
    index, manifest, _ = parts(layout)

    def put(data: bytes) -> dict[str, Any]:
        digest = sha256(data).hexdigest()
        (layout / "blobs" / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    manifest["layers"] = [{**manifest["layers"][0], **put(layer), **changes}]
    index["manifests"] = [{**index["manifests"][0], **put(canonical_json(manifest))}]
    (layout / "index.json").write_bytes(canonical_json(index))


def packed(files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), "elsewhere"
            tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def held(layer: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isreg()}  # type: ignore[union-attr]


# ---- the image --------------------------------------------------------------------------------------------------------


def test_the_layer_is_the_bundle_under_its_digest_and_has_no_time(layout: Path, home: Path, tmp_path: Path) -> None:
    index, manifest, layer = parts(layout)
    files = held(layer)
    assert sha256(files["models/manifest.json"]).hexdigest() == ADAPTER
    assert manifest["annotations"]["io.llm-distillery.adapter"] == ADAPTER
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == ADAPTER[:12]
    for path in (home / ".distillery" / "adapters" / NAME / ADAPTER).iterdir():
        assert files[f"models/{path.name}"] == path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in tar} == {(0, 0, 0, "")}
    assert run_here("export", "oci", ADAPTER, "--out", tmp_path / "again", cwd=home).code == 0
    assert (tmp_path / "again" / "index.json").read_bytes() == (layout / "index.json").read_bytes()


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_and_copies_it(layout: Path, tmp_path: Path) -> None:
    shown = subprocess.run(["skopeo", "inspect", f"oci:{layout}"], capture_output=True, check=True).stdout
    assert json.loads(shown)["Labels"]["io.llm-distillery.adapter"] == ADAPTER
    words = ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:{ADAPTER[:12]}", f"oci:{tmp_path / 'copy'}"]
    subprocess.run(words, capture_output=True, check=True)
    assert oci.read_image(tmp_path / "copy").digest == ADAPTER


@pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is not installed")
def test_umoci_unpacks_it(layout: Path, home: Path, tmp_path: Path) -> None:
    words = ["umoci", "unpack", "--rootless", "--image", f"{layout}:{ADAPTER[:12]}", str(tmp_path / "unpacked")]
    subprocess.run(words, capture_output=True, check=True)
    for path in (home / ".distillery" / "adapters" / NAME / ADAPTER).iterdir():
        assert (tmp_path / "unpacked" / "rootfs" / "models" / path.name).read_bytes() == path.read_bytes()


def test_what_reads_back_otherwise_is_no_image(distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = oci.layout_files

    def damaged(bundle: Any) -> dict[str, bytes]:
        files = real(bundle)
        largest = max(files, key=lambda name: len(files[name]))
        return {**files, largest: files[largest][:-1] + b"x"}

    monkeypatch.setattr(oci, "layout_files", damaged)
    ran = distillery("export", "oci", "filter.yaml", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "holds other bytes than its name says" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_scores_otherwise_is_not_exported(
    distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.student import bundle

    real = bundle.Student.predict
    monkeypatch.setattr(bundle.Student, "predict", lambda *given: real(*given) + 0.01)
    ran = distillery("export", "oci", "filter.yaml", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "doesn't reproduce its golden predictions" in ran.err
    assert list(tmp_path.iterdir()) == []


# ---- the way back -----------------------------------------------------------------------------------------------------


def test_what_was_exported_is_the_same_adapter_in_another_store(
    layout: Path, home: Path, elsewhere: Path, tmp_path: Path
) -> None:
    assert run_here("export", "folder", "filter.yaml", "--out", tmp_path / "folder", cwd=home).code == 0
    for reused, source in ((False, layout), (True, tmp_path / "folder")):
        ran = run_here("import", source, "--store", elsewhere, "--json", cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert (ran.json["adapter"], ran.json["filter"], ran.json["reused"]) == (ADAPTER, NAME, reused)
    mine, theirs = (open_bundle(open_store(str(place)), NAME, ADAPTER) for place in (home / ".distillery", elsewhere))
    texts = mine.golden[0]
    assert np.abs(mine.predict(texts) - theirs.predict(texts)).max() < 1e-6
    ran = run_here("get", "adapters", "--store", elsewhere, "--json", cwd=tmp_path)
    assert [(row["name"], row["channels"]) for row in ran.json["items"]] == [(ADAPTER, [])], "nothing is promoted"
    corpus = home / "corpus.jsonl"
    assert run_here("score", ADAPTER[:12], corpus, "--out", tmp_path / "sc", "--store", elsewhere, cwd=tmp_path).code == 0


def test_an_adapters_own_folder_is_imported_with_its_filter_named(home: Path, elsewhere: Path, tmp_path: Path) -> None:
    folder = home / ".distillery" / "adapters" / NAME / ADAPTER
    ran = run_here("import", folder, "--store", elsewhere, cwd=tmp_path)
    assert ran.code == 2
    assert "has no filter beside it; name the filter that it is for with --filter" in ran.err
    ran = run_here("import", folder, "--store", elsewhere, "--filter", home / "filter.yaml", cwd=tmp_path)
    assert ran.code == 0, ran.err
    ran = run_here("import", folder, "--store", elsewhere, "--filter", "uplifting", cwd=tmp_path)
    assert ran.code == 2
    assert "not the filter's dimensions" in ran.err


Damage = Callable[[Path], None]


def _other_bytes(folder: Path) -> None:
    data = bytearray((folder / "adapter_model.safetensors").read_bytes())
    data[-2] ^= 0x40
    (folder / "adapter_model.safetensors").write_bytes(data)


def _resealed(folder: Path, name: str, data: bytes) -> None:
    """Alter a file and the manifest with it, so that another adapter is claimed."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / name).write_bytes(data)
    manifest["files"][name] = {"sha256": sha256(data).hexdigest(), "size": len(data)}
    (folder / "manifest.json").write_bytes(canonical_json(manifest))


def _other_weights(folder: Path) -> None:
    data = bytearray((folder / "adapter_model.safetensors").read_bytes())
    data[-400:] = bytes(400)
    _resealed(folder, "adapter_model.safetensors", bytes(data))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "altered": (_other_bytes, "adapter_model.safetensors: holds other bytes than the manifest says"),
    "other weights, resealed": (_other_weights, "doesn't reproduce its golden predictions"),
    "more than a bundle has": (lambda folder: _resealed(folder, "hook.py", b"1"), "a file that no adapter has"),
    "lost": (lambda folder: (folder / "golden.json").unlink(), "lacks golden.json"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json, so it is no adapter"),
    "manifest torn": (lambda folder: (folder / "manifest.json").write_bytes(b'{"files"'), "manifest.json: is not a manifest"),
    "filter torn": (lambda folder: (folder / "filter.yaml").write_bytes(b"\xff\xfe"), "filter.yaml: is not UTF-8"),
    "head scaled": (
        lambda folder: _resealed(
            folder, "adapter_config.json", (folder / "adapter_config.json").read_bytes().replace(b'"r": 4', b'"r": 5')
        ),
        "'r' is not what student.json says",
    ),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_folder_is_one_clear_line_and_nothing_is_written(
    damage: str, home: Path, elsewhere: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(home / ".distillery" / "adapters" / NAME / ADAPTER, folder)
    shutil.copy(home / "filter.yaml", folder)
    harm, said = DAMAGES[damage]
    harm(folder)
    before = sorted(elsewhere.rglob("*"))
    ran = run_here("import", folder, "--store", elsewhere, cwd=tmp_path)
    assert (ran.code, len(ran.errors)) == (2, 1), ran.err
    assert said in ran.errors[0]
    assert sorted(elsewhere.rglob("*")) == before


def _blob_cut(layout: Path) -> None:
    path = max((layout / "blobs" / "sha256").iterdir(), key=lambda each: each.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1])


def _layer(change: Callable[[dict[str, bytes]], bytes]) -> Damage:
    return lambda layout: rewritten(layout, change(held(parts(layout)[2])))


IMAGES: dict[str, tuple[Damage, str]] = {
    "blob cut": (_blob_cut, "holds other bytes than its name says"),
    "blob lost": (
        lambda layout: shutil.rmtree(layout / "blobs" / "sha256"),
        "can't be read: No such file or directory",
    ),
    "index torn": (lambda layout: (layout / "index.json").write_bytes(b"{"), "its JSON can't be read"),
    "no index": (lambda layout: (layout / "index.json").unlink(), "can't be read"),
    "two images": (
        lambda layout: (layout / "index.json").write_bytes(canonical_json({"manifests": [{}, {}]})),
        "is not a layout of one image",
    ),
    "climbs out": (_layer(lambda files: packed({**files, "models/../../x": b"1"})), "which no bundle has"),
    "another folder": (_layer(lambda files: packed({**files, "etc/x": b"1"})), "'etc/x', which no bundle has"),
    "a link": (_layer(lambda files: packed({"models/golden.json": b""}, tarfile.SYMTYPE)), "which no bundle has"),
    "no tar": (_layer(lambda files: b"x" * 2000), "has a layer that is no tar"),
    "said to be compressed": (
        lambda layout: rewritten(layout, parts(layout)[2], mediaType=f"{oci.TAR}+gzip"),
        "has a layer that can't be unpacked",
    ),
    "zstd": (
        lambda layout: rewritten(layout, parts(layout)[2], mediaType=f"{oci.TAR}+zstd"),
        "has a layer of type 'application/vnd.oci.image.layer.v1.tar+zstd'",
    ),
    "compressed and torn": (
        lambda layout: rewritten(layout, gzip.compress(parts(layout)[2])[:-20], mediaType=f"{oci.TAR}+gzip"),
        "has a layer that can't be unpacked",
    ),
    "a file altered": (
        _layer(lambda files: packed({**files, "models/golden.json": b"{}"})),
        "golden.json: holds other bytes than the manifest says",
    ),
}


@pytest.mark.parametrize("damage", sorted(IMAGES))
def test_a_damaged_layout_is_one_clear_line_and_nothing_is_written(
    damage: str, layout: Path, elsewhere: Path, tmp_path: Path
) -> None:
    shutil.copytree(layout, tmp_path / "layout")
    harm, said = IMAGES[damage]
    harm(tmp_path / "layout")
    before = sorted(elsewhere.rglob("*"))
    ran = run_here("import", tmp_path / "layout", "--store", elsewhere, cwd=tmp_path)
    assert (ran.code, len(ran.errors)) == (2, 1), ran.err
    assert said in ran.errors[0]
    assert sorted(elsewhere.rglob("*")) == before


def test_a_layer_that_a_tool_compressed_is_the_same_adapter(layout: Path, tmp_path: Path) -> None:
    shutil.copytree(layout, tmp_path / "layout")
    rewritten(tmp_path / "layout", gzip.compress(parts(layout)[2]), mediaType=f"{oci.TAR}+gzip")
    assert oci.read_image(tmp_path / "layout").digest == ADAPTER


def test_a_layer_that_unpacks_to_more_than_a_bundle_may_hold_is_not_unpacked(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(layout, tmp_path / "layout")
    rewritten(tmp_path / "layout", gzip.compress(parts(layout)[2]), mediaType=f"{oci.TAR}+gzip")
    monkeypatch.setattr(oci, "FREE_BYTES", 1000)
    monkeypatch.setattr(oci, "MAX_RATIO", 1)
    with pytest.raises(InputError, match="unpacks to more than"):
        oci.read_image(tmp_path / "layout")


def test_a_base_model_that_is_not_here_is_told_with_the_command_that_brings_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))
    assert run_here("export", "folder", "filter.yaml", "--out", tmp_path / "folder", "--with-base", cwd=home).code == 0
    ran = run_here("import", "folder", "--store", "new", cwd=tmp_path)
    assert ran.code == 2
    assert "distillery models push folder/base --as made-up/tiny-bert, with the same --store; then import again" in ran.err
    assert not (tmp_path / "new").exists()
    assert run_here("models", "push", "folder/base", "--as", "made-up/tiny-bert", "--store", "new", cwd=tmp_path).code == 0
    assert run_here("import", "folder", "--store", "new", cwd=tmp_path).code == 0


def test_what_is_no_folder_says_so(distillery: Distillery) -> None:
    ran = distillery("import", "nowhere", "--json")
    assert ran.code == 2
    assert ran.json["error"]["what"] == "is no folder"
