"""Names of the images that components run in; a laptop's subprocess runner never pulls them.

Plain names with the project's version, since a compiled pipeline is committed and its images lie elsewhere for everybody:
`distillery pipelines compile --light-image … --torch-image …`, or a kustomize overlay, says where.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

VERSION: Final = version("llm-distillery")
LIGHT: Final = f"distillery-light:{VERSION}"
TORCH: Final = f"distillery-torch:{VERSION}"
SERVE: Final = f"distillery-serve:{VERSION}"
TORCH_VARIABLE: Final = "DISTILLERY_IMAGE_TORCH"
