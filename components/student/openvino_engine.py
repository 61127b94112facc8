"""Scores by OpenVINO (an optional extra): on CPUs with AVX-512 BF16 it is the fastest engine, and as near to fp32 as torch.

The merged student is converted when it is opened (1 s for MiniLM) and compiled for any batch; nothing is kept on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distillery.components.artifacts.serving import Precision
from distillery.components.student.graph import Masked, example
from distillery.components.student.model import StudentModel
from distillery.components.student.predict import cpu_budget
from distillery.filters.errors import InputError

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoForward:
    """Compute one batch by OpenVINO, by as many threads as torch would use.

    Args:
        model: a merged student in fp32, on the CPU; not needed any more afterwards.
        precision: in which products are computed.

    Raises:
        InputError: OpenVINO can't convert this architecture.
    """

    def __init__(self, model: StudentModel, precision: Precision) -> None:
        import openvino

        self.budget = cpu_budget(sum(parameter.numel() for parameter in model.parameters()))
        try:
            with torch.inference_mode():  # traced here, since the converter would trace a second time to compare
                jit: Any = torch.jit  # has no types
                traced = jit.trace(Masked(model), example(), check_trace=False)
                graph = openvino.convert_model(traced, example_input=example())
            compiled = openvino.Core().compile_model(
                graph,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": HINTS[precision],
                    "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                    "NUM_STREAMS": 1,
                },
            )
        except Exception as error:  # whatever converter and compiler raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
            raise InputError(f"OpenVINO can't compile this student: {reason}", hint="set student.precision to fp32") from error
        self._request: Any = compiled.create_infer_request()

    def __call__(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the raw scores (b, D) of one batch."""
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        (scores,) = self._request.infer([ids, mask]).values()
        return np.asarray(scores, dtype=np.float64)
