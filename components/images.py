"""Names of the images that components run in; a laptop's subprocess runner never pulls them."""

from __future__ import annotations

import os

LIGHT = os.environ.get("DISTILLERY_IMAGE_LIGHT", "localhost/distillery-light-python:dev")
TORCH = os.environ.get("DISTILLERY_IMAGE_TORCH", "localhost/distillery-torch-python:dev")
