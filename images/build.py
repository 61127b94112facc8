"""Build the images of this checkout and load them into the test cluster: what `make images` runs.

    python images/build.py [light] [torch]

An image whose tag the node has already is left alone. The build sees a copy of exactly the files that the tag digests, so an
edit made meanwhile can't get in under the old name. After a change of code only the wheel's layer is built again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tag import IMAGES, ROOT, parts, tag

CLUSTER = Path(os.environ.get("CLUSTER", ROOT.parent / "shared" / "cluster" / "cluster"))
SETTINGS = ROOT / "manifests" / "overlays" / "testbed" / "images.env"
STATE = Path(os.environ.get("TESTBED", "/var/lib/testbed"))


def snapshot(image: str, target: Path) -> None:
    """Copy the files that `image` is made of to the folder `target`."""
    for path in parts(image):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def loaded() -> set[str]:
    """Names of the images that the test cluster's node has."""
    listed = ["ctr", "-a", str(STATE / "run" / "containerd.sock"), "-n", "k8s.io", "images", "ls", "-q"]
    return set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())


def build(image: str, revision: str) -> str:
    """Build and load one image unless the node has it; its name."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot(image, Path(folder))
        name = f"localhost/distillery-{image}:{tag(image, Path(folder))}"
        if name in loaded():
            return f"{name} (was there)"
        start = time.monotonic()
        told = subprocess.run(
            [str(CLUSTER), "image", f"images/{image}", name, f"REVISION={revision}"], cwd=folder, capture_output=True, text=True
        )
        if told.returncode:
            sys.exit(f"{told.stdout[-3000:]}\n{told.stderr[-3000:]}\n{name} was not built")
        return f"{name} ({time.monotonic() - start:.0f} s)"


if __name__ == "__main__":
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip() or "unknown"
    names = {image: f"localhost/distillery-{image}:{tag(image)}" for image in IMAGES}
    for wanted in sys.argv[1:] or IMAGES:
        print(said := build(wanted, head), flush=True)
        names[wanted] = said.split()[0]
    lines = [f"DISTILLERY_IMAGE_{image.upper()}={name}\n" for image, name in names.items()]
    SETTINGS.write_text("".join(lines), encoding="utf-8")  # what the overlay for the test cluster reads
