"""The ONNX Runtime session. The only importer of onnxruntime."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from wbc.bundle import Bundle
from wbc.errors import BundleCorrupted, BundleMismatch, ModelError
from wbc.labels import CLASSES

OUTPUTS = ("logits", "aux_logit", "embedding", "cam")
"""Names of the graph's outputs, in order."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the graph gives for a batch of N views.

    Attributes:
        logits: float32 (N, 5), uncalibrated, in the order of `labels.CLASSES`.
        aux_logit: float32 (N, 1), positive for a neutrophil against a lymphocyte.
        embedding: float32 (N, C), the pooled features.
        cam: float32 (N, 5, h, w), class activation maps, not negative, not scaled.
    """

    logits: NDArray[np.float32]
    aux_logit: NDArray[np.float32]
    embedding: NDArray[np.float32]
    cam: NDArray[np.float32]

    def packed(self) -> NDArray[np.float32]:
        """All outputs as one row a view, float32 (N, 6 + C + 5hw): one array crosses a process boundary."""
        count = len(self.logits)
        return np.concatenate([getattr(self, name).reshape(count, -1) for name in OUTPUTS], axis=1)

    @classmethod
    def joined(cls, *parts: Outputs) -> Outputs:
        """The outputs of several batches as those of one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in OUTPUTS))

    def rows(self, chosen: slice) -> Outputs:
        """The outputs of some of the views."""
        return Outputs(*(getattr(self, name)[chosen] for name in OUTPUTS))

    @classmethod
    def unpacked(cls, rows: NDArray[np.float32], embedding_size: int, grid: tuple[int, int]) -> Outputs:
        """The inverse of `packed`."""
        classes, cells = len(CLASSES), grid[0] * grid[1]
        logits, aux, embedding, cam = np.split(rows, np.cumsum([classes, 1, embedding_size]), axis=1)
        if cam.shape[1] != classes * cells:
            raise ModelError(f"received {rows.shape[1]} values a view; the graph of this bundle gives another number")
        return cls(logits, aux, embedding, cam.reshape(-1, classes, *grid))


class OnnxClassifier:
    """A bundle's graph in ONNX Runtime.

    Args:
        path: `model.onnx` of a bundle.
        threads: threads of one forward pass; 0 takes the CPU quota of this process.

    Raises:
        BundleCorrupted: the file is no ONNX graph.
        BundleMismatch: the graph's inputs or outputs are not those of the plan.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cpu_quota()
        options.inter_op_num_threads = 1
        # Idle threads that spin would take the cores from decoding and filtering.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types for a bad file
            raise BundleCorrupted(f"{path} is no graph for ONNX Runtime {ort.__version__}: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = tuple(out.name for out in outputs)
        if len(inputs) != 1 or inputs[0].name != "image" or inputs[0].type != "tensor(uint8)" or names != OUTPUTS:
            raise BundleMismatch(
                f"{path} takes {[(i.name, i.type) for i in inputs]} and gives {names}; "
                f"expected one uint8 'image' and {OUTPUTS}"
            )
        self.image_size: int = inputs[0].shape[1]
        self.embedding_size: int = outputs[2].shape[1]
        self.grid: tuple[int, int] = (outputs[3].shape[2], outputs[3].shape[3])

    @classmethod
    def of(cls, bundle: Bundle, *, threads: int = 0) -> OnnxClassifier:
        """The graph of a bundle.

        Raises:
            BundleMismatch: the graph takes images of another size than the bundle prepares.
        """
        classifier = cls(bundle.onnx_path, threads=threads)
        size = bundle.manifest.preprocessing.size
        if classifier.image_size != size:
            taken = classifier.image_size
            raise BundleMismatch(f"the bundle prepares {size}x{size} pixels; its graph takes {taken}x{taken}")
        return classifier

    @property
    def provider(self) -> str:
        """The execution provider that is active."""
        return str(self._session.get_providers()[0])

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        """Run the graph on uint8 (N, S, S, 3).

        Raises:
            ModelError: another shape or type, or a result that is not finite.
        """
        expected = (self.image_size, self.image_size, 3)
        if views.ndim != 4 or views.shape[1:] != expected or views.dtype != np.uint8 or len(views) == 0:
            raise ModelError(
                f"received {views.dtype} {views.shape}; the graph takes uint8 (N, {expected[0]}, {expected[1]}, 3)"
            )
        outputs = Outputs(*self._session.run(None, {"image": np.ascontiguousarray(views)}))
        if not np.isfinite(outputs.logits).all():
            raise ModelError("the graph gave a logit that is no finite number")
        return outputs


def cpu_quota() -> int:
    """Cores this process may use, at least 1: its affinity, limited by the control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    limit = Path("/sys/fs/cgroup/cpu.max")
    if limit.is_file():
        quota, period = limit.read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)
