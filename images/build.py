"""Build the images of this checkout and load them into the test cluster: what `make images` runs.

    python images/build.py [light] [torch] [operator] [serve]

An image whose tag the node has already is left alone. Where the node has one with the same dependencies, only the project's
layer is built and put on top of that: 20 s instead of minutes. The build sees a copy of exactly the files that the tag
digests, so an edit made meanwhile can't get in under the old name. The names go to the testbed overlay's images.env.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tag import IMAGES, ROOT, below, parts, tag

CLUSTER = Path(os.environ.get("CLUSTER") or ROOT.parent / "shared" / "cluster" / "cluster").resolve()
STATE = Path(os.environ.get("TESTBED", "/var/lib/testbed"))
NAMES = ROOT / "manifests" / "overlays" / "testbed" / "images.env"
REVISION, DEPS = "org.opencontainers.image.revision", "io.llm-distillery.deps"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def snapshot(target: Path) -> None:
    """Copy the files that images are made of.

    Args:
        target: folder to copy into.
    """
    for path in parts():
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy, follow_symlinks=False)


def node(*words: str) -> bytes:
    """Ask the node's containerd.

    Args:
        words: arguments of ctr.

    Returns:
        What it prints.
    """
    ctr = ["ctr", "-a", str(STATE / "run" / "containerd.sock"), "-n", "k8s.io", *words]
    return subprocess.run(ctr, capture_output=True, check=True).stdout


def loaded() -> dict[str, str]:
    """Return the images that the node has.

    Returns:
        Digest of the manifest by the image's name.
    """
    rows = [line.split() for line in node("images", "ls").decode().splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def parsed(digest: str) -> Any:
    """Return a JSON document that the node's containerd holds.

    Args:
        digest: the document's digest.

    Returns:
        The document.
    """
    return json.loads(node("content", "get", digest))


def cluster(folder: Path, *words: str) -> None:
    """Run the cluster's script; exit with its last words if it fails.

    Args:
        folder: where it runs.
        words: its arguments.
    """
    told = subprocess.run([str(CLUSTER), *words], cwd=folder, capture_output=True, text=True)
    if told.returncode:
        sys.exit(f"{told.stdout[-3000:]}\n{told.stderr[-3000:]}\n{words} failed")


def with_deps(image: str, deps: str, names: dict[str, str]) -> dict[str, Any] | None:
    """Find an image on the node that differs from the wanted one in the project's layer only.

    Args:
        image: one of IMAGES.
        deps: the digest that its label must have, from `below`.
        names: from `loaded`.

    Returns:
        Its manifest, or None.
    """
    for name, digest in names.items():
        if name.startswith(f"localhost/distillery-{image}:"):
            manifest: dict[str, Any] = parsed(digest)
            config = parsed(manifest["config"]["digest"])
            if (config["config"].get("Labels") or {}).get(DEPS) == deps:
                return manifest
    return None


def graft(manifest: dict[str, Any], app: dict[str, Any], name: str, revision: str, archive: Path) -> None:
    """Write an OCI archive of an image with its last layer replaced.

    It holds no layer: the node has them all, and takes an archive whose blobs it knows.

    Args:
        manifest: manifest of the image.
        app: manifest whose only layer is the new one.
        name: name of the new image.
        revision: git's, for the label.
        archive: file to write.
    """
    config, layer = parsed(manifest["config"]["digest"]), parsed(app["config"]["digest"])["rootfs"]["diff_ids"][-1]
    config["config"]["Labels"][REVISION] = revision
    config["rootfs"]["diff_ids"][-1] = layer
    blob = json.dumps(config).encode()
    manifest = {**manifest, "layers": [*manifest["layers"][:-1], app["layers"][-1]]}
    manifest["config"] = {**manifest["config"], "digest": sha256(blob), "size": len(blob)}
    body = json.dumps(manifest).encode()
    entry = {"mediaType": MANIFEST_TYPE, "digest": sha256(body), "size": len(body)}
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
        **{f"blobs/sha256/{sha256(data)[7:]}": data for data in (blob, body)},
    }
    with tarfile.open(archive, "w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def sha256(data: bytes) -> str:
    """Return the digest of bytes as OCI writes it.

    Args:
        data: the bytes.

    Returns:
        "sha256:" and 64 hex digits.
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def build(image: str, revision: str) -> tuple[str, str]:
    """Build and load one image, unless the node has it.

    Args:
        image: one of IMAGES.
        revision: git's, for the label.

    Returns:
        The image's name, and what was done.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, start = Path(scratch), time.monotonic()
        snapshot(folder)
        name, names = f"localhost/distillery-{image}:{tag(image, folder)}", loaded()
        if name in names:
            return name, "was there"
        deps = below(image, folder)
        if under := with_deps(image, deps, names):
            app = f"localhost/distillery-app:{name.rpartition(':')[2]}"
            cluster(folder, "image", "images", app, "IMAGE=app")
            graft(under, parsed(loaded()[app]), name, revision, folder / "image.tar")
            cluster(folder, "load", "image.tar")
        else:
            cluster(folder, "image", "images", name, f"IMAGE={image}", f"REVISION={revision}", f"DEPS={deps}")
        return name, f"{'the project alone, ' if under else ''}{time.monotonic() - start:.0f} s"


def note(image: str, name: str) -> None:
    """Write into the test cluster's overlay which image it has.

    Args:
        image: one of IMAGES.
        name: the image's name.
    """
    key, lines = f"DISTILLERY_IMAGE_{image.upper()}", NAMES.read_text().splitlines() if NAMES.is_file() else []
    kept = [line for line in lines if line and not line.startswith(f"{key}=")]
    NAMES.write_text("".join(f"{line}\n" for line in sorted([*kept, f"{key}={name}"])))


if __name__ == "__main__":
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip() or "unknown"
    for wanted in sys.argv[1:] or IMAGES:
        built, how = build(wanted, head)
        note(wanted, built)
        print(f"{built} ({how})", flush=True)
