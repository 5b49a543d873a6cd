"""Further graphs of a bundle: what they compute in, what they answer, and that only the measured ones are offered."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from export.gate import GateResult, Limits, add_graph
from export.options import QuantizeOptions
from export.quantize import quantize_int8, to_fp16
from tests.export.test_export import described
from wbc.bundle import Bundle, sha256
from wbc.cli import main
from wbc.errors import BundleMissing, ExportError
from wbc.inference import OnnxClassifier, Outputs


@pytest.fixture(scope="module")
def folder(tiny_bundle: Path, drawn_views: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both further graphs of the tiny network."""
    folder = tmp_path_factory.mktemp("graphs")
    quantize_int8(tiny_bundle / "model.onnx", folder / "int8.onnx", drawn_views)
    to_fp16(tiny_bundle / "model.onnx", folder / "fp16.onnx")
    return folder


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that may be written to."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


class TestGraphs:
    @pytest.mark.parametrize("graph", ["int8", "fp16"])
    def test_contract_is_that_of_single_precision(self, folder: Path, tiny_bundle: Path, graph: str) -> None:
        ours, theirs = onnx.load(tiny_bundle / "model.onnx").graph, onnx.load(folder / f"{graph}.onnx").graph
        assert [described(v) for v in theirs.input] == [described(v) for v in ours.input]
        assert [described(v) for v in theirs.output] == [described(v) for v in ours.output]
        assert {node.domain for node in theirs.node} == {""}  # nothing but standard operations

    @pytest.mark.parametrize(("graph", "apart"), [("int8", 0.1), ("fp16", 0.005)])
    def test_answers_as_single_precision_does(
        self, folder: Path, tiny_classifier: OnnxClassifier, drawn_views: NDArray[np.uint8], graph: str, apart: float
    ) -> None:
        ours, theirs = tiny_classifier(drawn_views), OnnxClassifier(folder / f"{graph}.onnx", threads=1)(drawn_views)
        assert np.abs(ours.logits - theirs.logits).max() < apart * np.ptp(ours.logits)
        assert _correlation(ours, theirs) > 0.9

    def test_backbone_is_integer_and_the_rest_is_not(self, folder: Path) -> None:
        graph = onnx.load(folder / "int8.onnx").graph
        makers = {output: node for node in graph.node for output in node.output}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        integer = [c for c in convolutions if makers.get(c.input[1], c).op_type == "DequantizeLinear"]
        assert len(convolutions) == 4  # three of the backbone, one of the attention
        assert len(integer) == 2  # the backbone's last stays single
        weights = {one.name: one for one in graph.initializer}
        for convolution in integer:
            scale = weights[makers[convolution.input[1]].input[1]]
            kernel = weights[makers[convolution.input[1]].input[0]]
            assert kernel.data_type == onnx.TensorProto.INT8
            assert list(scale.dims) == [kernel.dims[0]]  # a scale an output channel

    def test_graph_without_the_attention_block(self, tmp_path: Path, drawn_views: NDArray[np.uint8]) -> None:
        image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 8])
        logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 8])
        cast = onnx.helper.make_node("Cast", ["image"], ["logits"], to=onnx.TensorProto.FLOAT)
        graph = onnx.helper.make_graph([cast], "none", [image], [logits])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
        onnx.save(model, str(tmp_path / "none.onnx"))
        with pytest.raises(ExportError, match="has no GlobalAveragePool"):
            quantize_int8(tmp_path / "none.onnx", tmp_path / "int8.onnx", drawn_views)
        assert not (tmp_path / "int8.onnx").exists()


class TestGate:
    def add(self, bundle: Path, data: Path, min_speedup: float, max_lost: float = 1.0) -> GateResult:
        """Speed depends on the machine, so the tests say what is enough."""
        options = QuantizeOptions(bundle=bundle, data_root=data, limit=3, calibration_images=2, rounds=3, threads=1)
        limits = Limits(min_speedup=min_speedup, max_lost=max_lost, batch_sizes=(1, 2))
        return add_graph(options, limits=limits)

    def test_passes_and_is_offered(self, bundle: Path, drawn_dataset: Path, drawn_views: NDArray[np.uint8]) -> None:
        former = Bundle.load(bundle).sha256
        result = self.add(bundle, drawn_dataset, 0.0)
        assert result.offered
        assert result.failures == ()
        loaded = Bundle.load(bundle)
        assert loaded.graphs == ("fp32", "int8")
        assert loaded.sha256 != former
        assert loaded.manifest.files["model.int8.onnx"] == sha256(bundle / "model.int8.onnx")
        assert loaded.manifest.graphs["int8"]["fidelity"]["images"] == 15
        assert [one["batch_size"] for one in loaded.manifest.graphs["int8"]["speed"]] == [1, 2]
        classifier = OnnxClassifier.of(loaded, graph="int8", device="auto", threads=1)
        assert (classifier.graph, classifier.provider) == ("int8", "CPUExecutionProvider")
        classifier(drawn_views)

    @pytest.mark.parametrize(
        ("min_speedup", "max_lost", "words"),
        [
            (1e9, 1.0, r"times as fast as single precision at batch size 1; at least 1e\+09 is required"),
            (0.0, -2.0, r"points of balanced accuracy on Val; at most -200 are accepted"),
        ],
    )
    def test_fails_and_an_earlier_graph_is_taken_away(
        self, bundle: Path, drawn_dataset: Path, min_speedup: float, max_lost: float, words: str
    ) -> None:
        former = Bundle.load(bundle)
        assert self.add(bundle, drawn_dataset, 0.0).offered
        result = self.add(bundle, drawn_dataset, min_speedup, max_lost)
        assert not result.offered
        assert any(re.search(words, failure) for failure in result.failures)
        assert not (bundle / "model.int8.onnx").exists()
        assert Bundle.load(bundle).manifest == former.manifest
        with pytest.raises(BundleMissing, match="has no int8 graph, only fp32"):
            OnnxClassifier.of(Bundle.load(bundle), graph="int8")


class TestCommand:
    def test_half_precision_without_a_gpu_is_measured_and_not_offered(
        self, bundle: Path, drawn_dataset: Path, tmp_path: Path
    ) -> None:
        if Path("/dev/nvidia0").exists():
            pytest.skip("there is a GPU here")
        report = tmp_path / "results" / "fp16.json"
        args = ["quantize", str(bundle), "--graph", "fp16", "--data-root", str(drawn_dataset), "--report", str(report)]
        result = CliRunner().invoke(main, [*args, "--limit", "3", "--threads", "1"])
        assert result.exit_code == 1
        assert "fp16 was not added: its speed cannot be measured here: device 'cuda' is not available" in result.output
        measured = json.loads(report.read_text())
        assert (measured["offered"], measured["speed"]) == (False, [])
        assert measured["fidelity"]["probability_largest"] < 0.01
        assert Bundle.load(bundle).graphs == ("fp32",)
        again = CliRunner().invoke(main, [*args, "--limit", "1", "--threads", "1", "--exit-zero"])
        assert again.exit_code == 0

    @pytest.mark.parametrize(
        ("args", "code", "words"),
        [
            ([], 2, "Missing argument 'BUNDLE'"),
            (["nowhere"], 2, "'nowhere' does not exist"),
            (["{folder}", "--graph", "int4"], 2, "'int4' is not one of"),
            (["{folder}"], 1, "no manifest.json in"),
        ],
    )
    def test_usage(self, tmp_path: Path, args: list[str], code: int, words: str) -> None:
        result = CliRunner().invoke(main, ["quantize", *(arg.format(folder=tmp_path) for arg in args)])
        assert result.exit_code == code
        assert words in result.output


def _correlation(ours: Outputs, theirs: Outputs) -> float:
    """Least correlation of the answered class' maps."""
    rows = [(row, label) for row, label in enumerate(ours.logits.argmax(axis=1)) if ours.cam[row, label].std() > 0]
    return min(float(np.corrcoef(ours.cam[r, c].ravel(), theirs.cam[r, c].ravel())[0, 1]) for r, c in rows)
