"""From a trained model to a bundle: the graph, the gate before it, and what is and is not written."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from export.bundle import export_bundle
from export.cli import export
from export.options import ExportOptions
from export.parity import CAM_TOLERANCE, LOGIT_TOLERANCE, check_parity, scale_to_maximum
from export.to_onnx import OPSET, round_to_half, to_onnx
from wbc.bundle import Bundle, sha256
from wbc.errors import DataError, ExportError, ParityError
from wbc.inference import OUTPUTS, OnnxClassifier, Outputs
from wbc.labels import CLASSES
from wbc.nn.classifier import ATTENTION, Backbone, build_classifier
from wbc.preprocessing.pipeline import Preprocessor, probe


@pytest.fixture(scope="module")
def graph(tiny_bundle: Path) -> onnx.ModelProto:
    return onnx.load(tiny_bundle / "model.onnx")


@pytest.fixture(scope="module")
def served(tiny_classifier: OnnxClassifier, drawn_views: NDArray[np.uint8]) -> Outputs:
    return tiny_classifier(drawn_views)


@pytest.fixture(scope="module")
def sound(tiny_classifier: OnnxClassifier, drawn_views: NDArray[np.uint8]) -> Outputs:
    """Of one cell of each class."""
    return tiny_classifier(drawn_views[::2])


def described(value: onnx.ValueInfoProto) -> tuple[str, int, list[int | str]]:
    """Name, element type and shape of a graph's input or output."""
    kind = value.type.tensor_type
    return value.name, kind.elem_type, [dim.dim_param or dim.dim_value for dim in kind.shape.dim]


class TestRoundTrip:
    """Trained, saved, exported, loaded in ONNX Runtime, compared."""

    def test_logits(self, tiny_model: keras.Model, drawn_views: NDArray[np.uint8], served: Outputs) -> None:
        expected = tiny_model.predict(drawn_views, verbose=0)
        assert np.abs(served.logits - expected["main_out"]).max() <= 1e-4
        assert np.abs(served.aux_logit - expected["aux_binary_out"]).max() <= 1e-4
        assert np.ptp(served.logits, axis=0).min() > 0.1  # the images are told apart

    def test_maps_of_every_class_against_the_gradient(
        self, tiny_model: keras.Model, drawn_views: NDArray[np.uint8], served: Outputs
    ) -> None:
        runner = keras.Model(tiny_model.input, [tiny_model.get_layer(ATTENTION).output, tiny_model.output["main_out"]])
        for index in range(len(CLASSES)):
            with tf.GradientTape() as tape:
                features, logits = runner(drawn_views, training=False)
                score = logits[:, index]
            weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
            maps = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()[:, None]
            assert np.abs(scale_to_maximum(served.cam[:, index : index + 1]) - scale_to_maximum(maps)).max() <= 1e-4, (
                CLASSES[index]
            )

    def test_embedding_is_the_pooled_target_layer(
        self, tiny_model: keras.Model, drawn_views: NDArray[np.uint8], served: Outputs
    ) -> None:
        pooled = keras.Model(tiny_model.input, tiny_model.get_layer("embedding").output)
        np.testing.assert_allclose(served.embedding, pooled(drawn_views, training=False), atol=1e-4)

    def test_batch_of_any_size(
        self, tiny_classifier: OnnxClassifier, drawn_views: NDArray[np.uint8], served: Outputs
    ) -> None:
        for chosen in (slice(0, 1), slice(3, 6)):
            alone = tiny_classifier(drawn_views[chosen])
            for name in OUTPUTS:
                np.testing.assert_allclose(getattr(alone, name), getattr(served, name)[chosen], rtol=1e-4, atol=1e-5)

    def test_trained_weights_are_served(self, tiny_run: Path, tiny_model: keras.Model) -> None:
        """Apart from the rounding to half precision that the export says it did."""
        trained = keras.saving.load_model(tiny_run / "model.keras", compile=False)
        for old, new in zip(trained.get_weights(), tiny_model.get_weights(), strict=True):
            np.testing.assert_array_equal(old.astype(np.float16).astype(np.float32), new)


class TestGraph:
    def test_contract_of_the_plan(self, graph: onnx.ModelProto) -> None:
        onnx.checker.check_model(graph, full_check=True)
        assert [described(value) for value in graph.graph.input] == [
            ("image", TensorProto.UINT8, ["N", 224, 224, 3]),
        ]
        assert [described(value) for value in graph.graph.output] == [
            ("logits", TensorProto.FLOAT, ["N", 5]),
            ("aux_logit", TensorProto.FLOAT, ["N", 1]),
            ("embedding", TensorProto.FLOAT, ["N", 32]),
            ("cam", TensorProto.FLOAT, ["N", 5, 7, 7]),
        ]

    def test_opset(self, graph: onnx.ModelProto) -> None:
        versions = {entry.domain: entry.version for entry in graph.opset_import}
        assert versions[""] == OPSET >= 17
        assert {node.domain for node in graph.graph.node} == {""}  # nothing but standard operations

    def test_scaling_is_inside(self, tiny_classifier: OnnxClassifier) -> None:
        black, white = np.zeros((1, 224, 224, 3), np.uint8), np.full((1, 224, 224, 3), 255, np.uint8)
        assert np.abs(tiny_classifier(black).logits - tiny_classifier(white).logits).max() > 1e-3

    def test_half_weights_are_stored_as_such(self, graph: onnx.ModelProto) -> None:
        large = [one for one in graph.graph.initializer if np.prod(one.dims) >= 1024]
        assert large
        assert {one.data_type for one in large} == {TensorProto.FLOAT16}

    def test_kernel_in_front_of_a_batch_norm_is_stored_as_two_factors(
        self, graph: onnx.ModelProto, tiny_model: keras.Model
    ) -> None:
        kernel = np.asarray(tiny_model.get_layer("conv_2").kernel).transpose(3, 2, 0, 1)
        stored = [numpy_helper.to_array(one) for one in graph.graph.initializer if tuple(one.dims) == kernel.shape]
        assert any(np.array_equal(one.astype(np.float32), kernel) for one in stored)

    def test_single_precision_weights_stay_what_they_are(self, tiny_backbone: Backbone, tmp_path: Path) -> None:
        model = build_classifier(64, tiny_backbone)
        to_onnx(model, tmp_path / "single.onnx")
        graph = onnx.load(tmp_path / "single.onnx")
        assert TensorProto.FLOAT16 not in {one.data_type for one in graph.graph.initializer}
        images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
        assert check_parity(model, OnnxClassifier(tmp_path / "single.onnx"), images)["images"] == 4


class TestRoundingToHalf:
    def test_every_weight_is_a_half_precision_number(self, tiny_model: keras.Model) -> None:
        for weight in tiny_model.get_weights():
            np.testing.assert_array_equal(weight, weight.astype(np.float16))

    def test_weight_that_is_too_large(self) -> None:
        image = keras.Input((3,))
        model = keras.Model(image, keras.layers.Dense(1, name="dense")(image))
        model.set_weights([np.full((3, 1), 1e6, np.float32), np.zeros(1, np.float32)])
        with pytest.raises(
            ExportError, match="dense/kernel has a weight of 1e\\+06; half precision has a maximum of 65504"
        ):
            round_to_half(model)


class TestGate:
    """`check_parity` with graphs that compute something else."""

    def check(self, model: keras.Model, outputs: Outputs, images: NDArray[np.uint8]) -> dict[str, float]:
        return check_parity(model, lambda _: outputs, images)

    def test_lets_the_sound_graph_pass(
        self, tiny_model: keras.Model, sound: Outputs, drawn_views: NDArray[np.uint8]
    ) -> None:
        found = self.check(tiny_model, sound, drawn_views[::2])
        assert found["images"] == 5
        assert 0 <= found["logits"] <= LOGIT_TOLERANCE == 1e-4
        assert 0 <= found["cam"] <= CAM_TOLERANCE == 1e-4

    @pytest.mark.parametrize(
        ("field", "fault"),
        [
            pytest.param("logits", lambda x: x + 2e-4, id="logit off by twice the tolerance"),
            pytest.param("logits", lambda x: x[:, ::-1], id="classes in another order"),
            pytest.param("logits", lambda x: x * np.nan, id="logits are no numbers"),
            pytest.param("cam", lambda x: x[:, ::-1], id="maps in another order"),
            pytest.param("cam", lambda x: x.transpose(0, 1, 3, 2), id="maps turned"),
            pytest.param("cam", lambda x: x + 1e-3 * x.max(axis=(2, 3), keepdims=True), id="maps raised"),
            pytest.param("cam", lambda x: x * np.nan, id="maps are no numbers"),
        ],
    )
    def test_refuses(
        self, tiny_model: keras.Model, sound: Outputs, drawn_views: NDArray[np.uint8], field: str, fault: Any
    ) -> None:
        wrong = replace(sound, **{field: fault(getattr(sound, field))})
        with pytest.raises(ParityError, match=r"graph and model differ by .* in the logits .* over 5 images"):
            self.check(tiny_model, wrong, drawn_views[::2])

    def test_refuses_a_graph_on_disk_with_one_changed_weight(
        self, tiny_model: keras.Model, graph: onnx.ModelProto, drawn_views: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        changed = onnx.ModelProto()
        changed.CopyFrom(graph)
        bias = np.asarray(tiny_model.get_layer("main_out").bias)
        one = next(
            one
            for one in changed.graph.initializer
            if tuple(one.dims) == bias.shape and np.array_equal(numpy_helper.to_array(one), bias)
        )
        one.CopyFrom(numpy_helper.from_array(bias + np.float32([0, 0, 1e-3, 0, 0]), one.name))
        onnx.save(changed, str(tmp_path / "model.onnx"))
        with pytest.raises(ParityError):
            check_parity(tiny_model, OnnxClassifier(tmp_path / "model.onnx"), drawn_views[:2])

    def test_refuses_to_compare_on_nothing(self, tiny_model: keras.Model, tiny_classifier: OnnxClassifier) -> None:
        with pytest.raises(ParityError, match="no images to compare on"):
            check_parity(tiny_model, tiny_classifier, np.zeros((0, 224, 224, 3), np.uint8))

    def test_maps_are_compared_by_shape_and_not_by_scale(
        self, tiny_model: keras.Model, sound: Outputs, drawn_views: NDArray[np.uint8]
    ) -> None:
        self.check(tiny_model, replace(sound, cam=sound.cam * 7), drawn_views[::2])

    def test_map_of_zeros_stays_one(self) -> None:
        maps = np.zeros((1, 2, 3, 3))
        maps[0, 1] = 4
        np.testing.assert_array_equal(scale_to_maximum(maps), maps / 4)

    def test_map_that_is_no_number_stays_one(self) -> None:
        assert np.isnan(scale_to_maximum(np.full((1, 1, 3, 3), np.nan))).all()


class Drifting(keras.layers.Layer):  # type: ignore[misc]
    """Computes another thing each time a graph is made of it, so that no two graphs agree."""

    graphs = 0

    def call(self, inputs: Any) -> Any:
        Drifting.graphs += 1
        return inputs * (1.0 + 0.05 * Drifting.graphs)


class TestWritingNothing:
    def config(self, tiny_run: Path, drawn_dataset: Path, output: Path) -> ExportOptions:
        return ExportOptions(run=tiny_run, output=output, data_root=drawn_dataset, limit=2)

    def test_model_that_converts_wrongly(
        self, tiny_run: Path, drawn_dataset: Path, tiny_backbone: Backbone, tmp_path: Path
    ) -> None:
        config = self.config(tiny_run, drawn_dataset, tmp_path / "bundle")
        with pytest.raises(ParityError):
            export_bundle(config, backbone=lambda image: Drifting()(tiny_backbone(image)))
        assert not (tmp_path / "bundle").exists()
        assert list(tmp_path.iterdir()) == []

    def test_earlier_bundle_is_left_as_it_was(
        self, tiny_bundle: Path, tiny_run: Path, drawn_dataset: Path, tiny_backbone: Backbone, tmp_path: Path
    ) -> None:
        shutil.copytree(tiny_bundle, tmp_path / "bundle")
        before = {path.name: sha256(path) for path in (tmp_path / "bundle").iterdir()}
        config = self.config(tiny_run, drawn_dataset, tmp_path / "bundle")
        with pytest.raises(ParityError):
            export_bundle(config, backbone=lambda image: Drifting()(tiny_backbone(image)))
        assert {path.name: sha256(path) for path in (tmp_path / "bundle").iterdir()} == before

    @pytest.mark.parametrize("missing", ["model.keras", "training.json"])
    def test_folder_that_is_no_run(self, tiny_run: Path, drawn_dataset: Path, tmp_path: Path, missing: str) -> None:
        for name in {"model.keras", "training.json"} - {missing}:
            shutil.copy(tiny_run / name, tmp_path / name)
        with pytest.raises(ExportError, match=f"has no {missing}; expected the results folder of `wbc train`"):
            export_bundle(self.config(tmp_path, drawn_dataset, tmp_path / "bundle"))
        assert not (tmp_path / "bundle").exists()

    def test_data_without_val(
        self, tiny_run: Path, drawn_dataset: Path, tiny_backbone: Backbone, tmp_path: Path
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "Train").symlink_to(drawn_dataset / "Train")
        with pytest.raises(DataError, match="no split 'Val'"):
            export_bundle(self.config(tiny_run, tmp_path / "data", tmp_path / "bundle"), backbone=tiny_backbone)
        assert not (tmp_path / "bundle").exists()


class TestBundle:
    def test_is_whole(self, tiny_bundle: Path) -> None:
        bundle = Bundle.load(tiny_bundle)
        manifest = bundle.manifest
        assert {path.name for path in tiny_bundle.iterdir()} == {"manifest.json", *manifest.files}
        assert {"model.onnx", "model.keras"} <= set(manifest.files)
        assert manifest.labels == CLASSES
        assert (manifest.name, manifest.opset, manifest.gradcam_layer) == ("tiny", OPSET, ATTENTION)
        assert manifest.temperature > 0
        assert manifest.parity["images"] == 25  # all of Val, since there are fewer than eight a class
        assert manifest.preprocessing_probe == probe(Preprocessor(manifest.preprocessing))
        assert {"keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime-gpu", "numpy"} <= set(manifest.versions)

    def test_preprocessing_is_that_of_the_training(self, tiny_bundle: Path, tiny_run: Path) -> None:
        record = json.loads((tiny_run / "training.json").read_text())
        assert Bundle.load(tiny_bundle).manifest.preprocessing.model_dump(mode="json") == record["preprocessing"]

    def test_says_nothing_of_where_it_was_made(self, tiny_bundle: Path, tiny_run: Path, drawn_dataset: Path) -> None:
        text = (tiny_bundle / "manifest.json").read_text()
        for path in (tiny_run, drawn_dataset, tiny_bundle):
            assert str(path.parent) not in text

    def test_keras_archive_is_compressed_and_has_no_date(self, tiny_bundle: Path) -> None:
        with zipfile.ZipFile(tiny_bundle / "model.keras") as archive:
            members = archive.infolist()
        assert {member.filename for member in members} >= {"config.json", "metadata.json", "model.weights.h5"}
        assert {member.compress_type for member in members} == {zipfile.ZIP_DEFLATED}
        assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}

    def test_replaces_an_earlier_one_and_what_belongs_to_it(
        self, tiny_run: Path, drawn_dataset: Path, tiny_backbone: Backbone, tmp_path: Path
    ) -> None:
        for name in ("evaluation.json", "MODEL_CARD.md", "manifest.json"):
            (tmp_path / name).write_text("of an earlier model")
        (tmp_path / "notes.txt").write_text("mine")
        config = ExportOptions(
            run=tiny_run,
            output=tmp_path,
            data_root=drawn_dataset,
            name="second",
            bundle_version="7",
            half=False,
            limit=3,
        )
        bundle = export_bundle(config, backbone=tiny_backbone)
        assert (bundle.manifest.name, bundle.manifest.version) == ("second", "7")
        assert not (tmp_path / "evaluation.json").exists()
        assert not (tmp_path / "MODEL_CARD.md").exists()
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert "single precision" in bundle.manifest.model_dump_json(include={"training"})


class TestCommand:
    @pytest.mark.parametrize(
        ("args", "code", "words"),
        [
            ([], 2, "Missing argument 'RUN'"),
            (["nowhere"], 2, "'nowhere' does not exist"),
            (["{folder}", "--limit", "-1"], 2, "greater than or equal to 0 (received -1)"),
            (["--help"], 0, "Turn the training run in folder RUN into a model bundle."),
        ],
    )
    def test_usage(self, tmp_path: Path, args: list[str], code: int, words: str) -> None:
        result = CliRunner().invoke(export, [arg.format(folder=tmp_path) for arg in args])
        assert result.exit_code == code
        assert words in result.output

    def test_folder_that_is_no_run(self, tmp_path: Path) -> None:
        from wbc.cli import main

        result = CliRunner().invoke(main, ["export", str(tmp_path), "--output", str(tmp_path / "bundle")])
        assert result.exit_code == 1
        assert "has no model.keras" in result.output
        assert "[export_error]" in result.output
        assert not (tmp_path / "bundle").exists()
