"""ONNX Runtime session of a bundle's graph."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from wbc.bundle import Bundle
from wbc.cpu import cpu_quota
from wbc.errors import BundleCorrupted, BundleMismatch, DeviceUnavailable, ModelError
from wbc.labels import CLASSES
from wbc.settings import Device, Graph

log = logging.getLogger(__name__)

OUTPUTS = ("logits", "aux_logit", "embedding", "cam")
"""Names of the outputs of the graph, in order."""

PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
"""Execution providers per device; the ones after the first run the operators that the first does not support."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of the graph for a batch of N views.

    Attributes:
        logits: float32 (N, 5), uncalibrated, in the order of `labels.CLASSES`.
        aux_logit: float32 (N, 1), positive for neutrophils, negative for lymphocytes.
        embedding: float32 (N, C), pooled features.
        cam: float32 (N, 5, h, w), class activation maps, non-negative, not scaled.
    """

    logits: NDArray[np.float32]
    aux_logit: NDArray[np.float32]
    embedding: NDArray[np.float32]
    cam: NDArray[np.float32]

    def packed(self) -> NDArray[np.float32]:
        """Return all outputs as one array, float32 (N, 6 + C + 5hw), to send it to another process."""
        count = len(self.logits)
        return np.concatenate([getattr(self, name).reshape(count, -1) for name in OUTPUTS], axis=1)

    @classmethod
    def joined(cls, *parts: Outputs) -> Outputs:
        """Concatenate the outputs of several batches."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in OUTPUTS))

    def rows(self, chosen: slice) -> Outputs:
        """Return the outputs of some of the views."""
        return Outputs(*(getattr(self, name)[chosen] for name in OUTPUTS))

    @classmethod
    def unpacked(cls, rows: NDArray[np.float32], embedding_size: int, grid: tuple[int, int]) -> Outputs:
        """Invert `packed`."""
        classes, cells = len(CLASSES), grid[0] * grid[1]
        logits, aux, embedding, cam = np.split(rows, np.cumsum([classes, 1, embedding_size]), axis=1)
        if cam.shape[1] != classes * cells:
            raise ModelError(f"received {rows.shape[1]} values per view; the graph of this bundle has another number")
        return cls(logits, aux, embedding, cam.reshape(-1, classes, *grid))


class OnnxClassifier:
    """A bundle's graph in ONNX Runtime.

    Args:
        path: graph file of a bundle.
        threads: threads of a forward pass on the CPU; 0 takes the CPU quota.
        device: device to run on; `auto` takes CUDA if it works and the CPU otherwise.

    Raises:
        BundleCorrupted: the file is not an ONNX graph.
        BundleMismatch: the graph has other inputs or outputs than expected.
        DeviceUnavailable: the device was requested by name and cannot be used.
    """

    def __init__(self, path: Path, *, threads: int = 0, device: Device = "cpu") -> None:
        self.graph: Graph = "fp32"
        self._session = _session_on(device, path, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = tuple(out.name for out in outputs)
        if len(inputs) != 1 or inputs[0].name != "image" or inputs[0].type != "tensor(uint8)" or names != OUTPUTS:
            raise BundleMismatch(
                f"{path} has inputs {[(i.name, i.type) for i in inputs]} and outputs {names}; "
                f"expected one uint8 'image' and {OUTPUTS}"
            )
        self.image_size: int = inputs[0].shape[1]
        self.embedding_size: int = outputs[2].shape[1]
        self.grid: tuple[int, int] = (outputs[3].shape[2], outputs[3].shape[3])

    @classmethod
    def of(cls, bundle: Bundle, *, threads: int = 0, device: Device = "cpu", graph: Graph = "fp32") -> OnnxClassifier:
        """Load a graph of a bundle.

        Raises:
            BundleMissing: the bundle does not have this graph.
            BundleMismatch: the graph expects images of another size than the bundle prepares.
            DeviceUnavailable: the device was requested by name and cannot be used, or not for this graph.
        """
        if graph == "int8" and device not in ("auto", "cpu"):
            raise DeviceUnavailable(f"the int8 graph runs on CPUs only; received device {device!r}")
        path = bundle.graph_path(graph)
        classifier = cls(path, threads=threads, device="cpu" if graph == "int8" else device)
        classifier.graph = graph
        log.info("%s graph of %s on %s", graph, bundle.manifest.name, classifier.provider)
        size = bundle.manifest.preprocessing.size
        if classifier.image_size != size:
            taken = classifier.image_size
            raise BundleMismatch(f"the bundle prepares {size}x{size} pixels; its graph expects {taken}x{taken}")
        return classifier

    @property
    def provider(self) -> str:
        """Active execution provider."""
        return str(self._session.get_providers()[0])

    def warm_up(self, count: int) -> None:
        """Run the graph once on the largest expected batch so that ONNX Runtime allocates most memory up front.

        Batches of many different sizes can still make it allocate more (docs/robustness.md).
        """
        empty = np.zeros((count, self.image_size, self.image_size, 3), np.uint8)
        self._session.run(None, {"image": empty})

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        """Run the graph on uint8 (N, S, S, 3).

        Raises:
            ModelError: the views have another shape or type, or a logit is not finite.
        """
        expected = (self.image_size, self.image_size, 3)
        if views.ndim != 4 or views.shape[1:] != expected or views.dtype != np.uint8 or len(views) == 0:
            raise ModelError(
                f"received {views.dtype} {views.shape}; the graph expects uint8 (N, {expected[0]}, {expected[1]}, 3)"
            )
        outputs = Outputs(*self._session.run(None, {"image": np.ascontiguousarray(views)}))
        if not np.isfinite(outputs.logits).all():
            raise ModelError("the graph computed a logit that is not finite")
        return outputs


def _session_on(device: Device, path: Path, threads: int) -> ort.InferenceSession:
    if device == "cpu":
        return _cpu_session(path, threads)
    try:
        # With `auto`, a missing GPU is not worth a log line of ONNX Runtime.
        return _gpu_session("cuda" if device == "auto" else device, path, threads, quiet=device == "auto")
    except DeviceUnavailable as error:
        on_cpu = _cpu_session(path, threads)  # raises if the file is the problem and not the device
        if device != "auto":
            raise
        log.info("%s", error)
        return on_cpu


def _gpu_session(device: Device, path: Path, threads: int, *, quiet: bool) -> ort.InferenceSession:
    provider, printed = PROVIDERS[device][0], io.StringIO()
    if provider not in available_providers():
        raise DeviceUnavailable(f"device {device!r} is not available: this build has {_named_providers()}")
    ort.set_default_logger_severity(4 if quiet else 2)
    try:
        with contextlib.redirect_stdout(printed):  # the names of missing libraries, for the error
            ort.preload_dlls()
            session = ort.InferenceSession(str(path), _options(threads), providers=PROVIDERS[device], enable_fallback=0)
    except Exception as error:  # a dozen unrelated types, as for a bad file
        raise DeviceUnavailable(_explain(device, str(error), printed.getvalue())) from error
    finally:
        ort.set_default_logger_severity(2)
    # ONNX Runtime skips a provider whose libraries are missing without an error.
    if (taken := session.get_providers()[0]) != provider:
        raise DeviceUnavailable(_explain(device, f"ONNX Runtime took {taken} instead", printed.getvalue()))
    return session


def _explain(device: Device, trouble: str, printed: str) -> str:
    reasons = "; ".join(line.strip() for line in [*trouble.splitlines(), *printed.splitlines()] if line.strip())
    return (
        f"device {device!r} is not available: {PROVIDERS[device][0]} could not be loaded ({reasons}); this build has "
        f"{_named_providers()}"
    )


def _named_providers() -> str:
    return f"{', '.join(available_providers())}; CPUExecutionProvider (WBC_DEVICE=cpu) needs no further library"


def _cpu_session(path: Path, threads: int) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(str(path), _options(threads), providers=PROVIDERS["cpu"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types for a bad file
        raise BundleCorrupted(f"{path} is not a graph that ONNX Runtime {ort.__version__} can load: {error}") from error


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or cpu_quota()
    options.inter_op_num_threads = 1
    # Spinning idle threads would slow down decoding and filtering.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def available_providers() -> list[str]:
    """Return the execution providers of this build of ONNX Runtime; their hardware may be missing."""
    return list(ort.get_available_providers())
