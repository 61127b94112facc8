"""An OCI image layout whose one layer is a bundle: the same bytes under the same digest, and no time in it.

The layer is an uncompressed tar, so that equal bundles make equal images; the weights would hardly shrink. A reader takes
nothing on trust: every blob has the digest that names it, and the layer holds plain files of known names.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from distillery.components.articles.formats import FREE_BYTES, MAX_RATIO
from distillery.components.sharing.bundle_copy import AGAIN, FILTER, BundleCopy, portable, require_same
from distillery.components.sharing.bundle_reader import FoundBundle, golden_difference, read_files
from distillery.components.sharing.targets import new_folder
from distillery.components.store import MANIFEST, Digest, Store, as_digest, canonical_json, digest_bytes
from distillery.components.student.bundle import MAX_WEIGHTS
from distillery.filters.errors import InputError
from distillery.filters.loading import dump_filter
from distillery.filters.strict_json import loads

LAYOUT: Final = "oci-layout"
INDEX: Final = "index.json"
MODELS: Final = "models"  # where KServe looks for a model in an image; its modelcars run a shell, which this one lacks
IMAGE: Final = "application/vnd.oci.image."
TAR: Final = f"{IMAGE}layer.v1.tar"
OURS: Final = "io.llm-distillery."
MAX_JSON: Final = 4 * 2**20
MAX_LAYER: Final = MAX_WEIGHTS + 2**28
HINT: Final = "export the adapter again"


def export_image(store: Store, bundle: BundleCopy, out: Path, *, replace: bool = False) -> float:
    """Write an image layout, read it back, and score the golden texts of the bundle in it.

    Args:
        store: where the base model is looked for.
        bundle: the bundle.
        out: folder of the layout.
        replace: True if another layout there may be lost.

    Returns:
        The largest difference in points from the adapter's golden predictions.

    Raises:
        InputError: what was written gives other scores, or something else is there; nothing is left then.
    """
    with new_folder(out, replace=replace) as folder:
        for name, data in layout_files(bundle).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        found = read_image(folder)
        if found.manifest != bundle.files[MANIFEST] or found.filter != dump_filter(portable(bundle.filter)).encode():
            raise InputError("was not written as it is", where=str(out), hint=AGAIN)
        return require_same(golden_difference(store, found), str(out))


def layout_files(bundle: BundleCopy) -> dict[str, bytes]:
    """Return the files of an image layout.

    Args:
        bundle: the bundle.

    Returns:
        Contents by path below the layout; the same for the same bundle.
    """
    files = {**bundle.files, FILTER: dump_filter(portable(bundle.filter)).encode()}
    layer = _tar({str(PurePosixPath(MODELS, name)): data for name, data in files.items()})
    said = {f"{OURS}adapter": str(bundle.digest), f"{OURS}filter": bundle.filter.name}
    config = canonical_json(
        {
            "architecture": "amd64",  # runtimes want one, though nothing in it runs
            "os": "linux",
            "config": {"Labels": said},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest_bytes(layer)}"]},
            "history": [{"created_by": "llm-distillery", "comment": f"adapter {bundle.digest}"}],
        }
    )
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": f"{IMAGE}manifest.v1+json",
            "config": _descriptor(config, f"{IMAGE}config.v1+json"),
            "layers": [_descriptor(layer, TAR)],
            "annotations": said,
        }
    )
    named = {"org.opencontainers.image.ref.name": bundle.digest[:12]}
    entry = {**_descriptor(manifest, f"{IMAGE}manifest.v1+json"), "annotations": named}
    index = {"schemaVersion": 2, "mediaType": f"{IMAGE}index.v1+json", "manifests": [entry]}
    blobs = {f"blobs/sha256/{digest_bytes(data)}": data for data in (layer, config, manifest)}
    return {LAYOUT: canonical_json({"imageLayoutVersion": "1.0.0"}), INDEX: canonical_json(index), **blobs}


def read_image(folder: Path) -> FoundBundle:
    """Read the bundle in an image layout, every blob verified.

    Args:
        folder: the layout.

    Returns:
        The bundle's files, not opened yet.

    Raises:
        InputError: this is no layout of one image that holds a bundle, or a blob is missing or altered.
    """
    where = str(folder)
    entries = _object(_read(folder / INDEX, MAX_JSON), where).get("manifests")
    if not isinstance(entries, list) or len(entries) != 1:
        raise InputError("is not a layout of one image", where=where, hint=HINT)
    manifest = _object(_blob(folder, entries[0], MAX_JSON), where)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) != 1 or not isinstance(layers[0], dict):
        raise InputError("is not an image of one layer", where=where, hint=HINT)
    if (kind := layers[0].get("mediaType")) not in (TAR, f"{TAR}+gzip"):
        raise InputError(f"has a layer of type {str(kind)[:80]!r}", where=where, hint=HINT)
    layer = _blob(folder, layers[0], MAX_LAYER)
    return read_files(_untar(layer if kind == TAR else _unzipped(layer, where), where), where)


def _descriptor(data: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest_bytes(data)}", "size": len(data)}


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Return a tar with nothing of this machine or moment in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo(MODELS)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def _unzipped(data: bytes, where: str) -> bytes:
    """Return a layer that a tool compressed on the way; one that unpacks to a hundred times its size is none of ours."""
    most = min(MAX_LAYER, max(FREE_BYTES, MAX_RATIO * len(data)))
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            layer = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"has a layer that can't be unpacked: {error}", where=where, hint=HINT) from error
    if len(layer) > most:
        raise InputError(f"has a layer that unpacks to more than {most:,} bytes", where=where, hint=HINT)
    return layer


def _untar(data: bytes, where: str) -> dict[str, bytes]:
    """Return the plain files of a layer; nothing is unpacked to a disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                name = entry.name.removeprefix("./").rstrip("/")
                if entry.isdir() and name in ("", MODELS):
                    continue
                folder, _, file = name.rpartition("/")
                if not entry.isreg() or folder != MODELS or file in found:
                    raise InputError(f"has {name[:80]!r}, which no bundle has", where=where, hint=HINT)
                stream = tar.extractfile(entry)
                assert stream is not None  # of a plain file there is one
                found[file] = stream.read()
    except tarfile.TarError as error:
        raise InputError(f"has a layer that is no tar: {error}", where=where, hint=HINT) from error
    return found


def _blob(folder: Path, descriptor: object, most: int) -> bytes:
    """Return a blob that has the digest and size by which it is named."""
    where = str(folder)
    if not isinstance(descriptor, dict):
        raise InputError("is not an image layout", where=where, hint=HINT)
    named, size = descriptor.get("digest"), descriptor.get("size")
    if not isinstance(named, str) or not named.startswith("sha256:") or not isinstance(size, int) or not 0 <= size <= most:
        raise InputError("is not an image layout: a blob has no digest or size that can be", where=where, hint=HINT)
    digest: Digest = as_digest(named.removeprefix("sha256:"), "blob")
    data = _read(folder / "blobs" / "sha256" / digest, size)
    if len(data) != size or digest_bytes(data) != digest:
        raise InputError("holds other bytes than its name says", where=f"{where}/blobs/sha256/{digest[:12]}…", hint=HINT)
    return data


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=str(path), hint=HINT) from error
    if len(data) > most:
        raise InputError(f"is larger than the {most:,} bytes expected", where=str(path), hint=HINT)
    return data


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("is not an image layout: its JSON can't be read", where=where, hint=HINT) from error
    if not isinstance(value, dict):
        raise InputError("is not an image layout", where=where, hint=HINT)
    return value


__all__ = ["LAYOUT", "export_image", "layout_files", "read_image"]
