"""Settings and secrets of a cluster, mounted as files, become the environment of a step.

As files, since Kubeflow Pipelines 2.14 can mark a mounted ConfigMap or Secret as optional but no environment variable: a key
that one cluster lacks (an AWS endpoint, an oracle's key) would keep the pod from starting, without end and without a word in
the UI. It also keeps keys out of the pod's description, and takes any name of a key.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/etc/distillery")
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


def load_settings(folder: Path = FOLDER) -> None:
    """Sets an environment variable for each file in a folder below `folder`; those that are set already stay."""
    for path in sorted(folder.glob("*/*")):
        if _NAME.fullmatch(path.name) and path.is_file() and (text := path.read_text(encoding="utf-8").strip()):
            os.environ.setdefault(path.name, text)
