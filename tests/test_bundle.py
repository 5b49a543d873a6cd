"""Bundles on disk: a sound one loads, and every way of being wrong has its own error and words."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from pydantic import ValidationError

from wbc.bundle import PROBE_TOLERANCE, Bundle, Manifest, sha256, write_manifest
from wbc.cpu import cpu_quota, serving_threads
from wbc.errors import BundleCorrupted, BundleError, BundleMismatch, BundleMissing, DeviceUnavailable, ModelError
from wbc.inference import OUTPUTS, OnnxClassifier, Outputs
from wbc.labels import CLASSES
from wbc.settings import Device

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(bundle: Path, change: Edit) -> None:
    """Change the manifest by hand."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def entry(*path: str, to: Any) -> Edit:
    """An edit that sets one value."""

    def change(manifest: dict[str, Any]) -> None:
        for name in path[:-1]:
            manifest = manifest[name]
        manifest[path[-1]] = to

    return change


class TestSound:
    def test_loads(self, tiny_bundle: Path) -> None:
        loaded = Bundle.load(tiny_bundle)
        assert loaded.path == tiny_bundle
        assert loaded.onnx_path == tiny_bundle / "model.onnx"
        assert loaded.keras_path == tiny_bundle / "model.keras"
        assert loaded.sha256 == hashlib.sha256((tiny_bundle / "manifest.json").read_bytes()).hexdigest()

    def test_without_the_keras_model_it_serves_and_says_what_it_lacks(self, bundle: Path) -> None:
        edit(bundle, lambda manifest: manifest["files"].pop("model.keras"))
        (bundle / "model.keras").unlink()
        loaded = Bundle.load(bundle)
        assert loaded.onnx_path.is_file()
        with pytest.raises(BundleMissing, match=r"has no model\.keras"):
            _ = loaded.keras_path

    def test_other_files_beside_it_are_nobodys_business(self, bundle: Path) -> None:
        (bundle / "notes.txt").write_text("mine")
        Bundle.load(bundle)

    def test_whole_name_of_a_bundle_changes_with_its_manifest(self, bundle: Path, tiny_bundle: Path) -> None:
        edit(bundle, entry("temperature", to=2.5))
        assert Bundle.load(bundle).sha256 != Bundle.load(tiny_bundle).sha256

    def test_manifest_survives_writing_and_reading(self, tiny_bundle: Path, tmp_path: Path) -> None:
        manifest = Bundle.load(tiny_bundle).manifest
        write_manifest(tmp_path, manifest)
        assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
        assert Manifest.model_validate_json((tmp_path / "manifest.json").read_bytes()) == manifest

    def test_manifest_cannot_be_changed(self, tiny_bundle: Path) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Bundle.load(tiny_bundle).manifest.temperature = 1.0  # type: ignore[misc]

    def test_probe_of_another_opencv_may_differ_a_little(self, bundle: Path) -> None:
        def nudge(manifest: dict[str, Any]) -> None:
            probe = manifest["preprocessing_probe"]
            manifest["preprocessing_probe"] = [level - PROBE_TOLERANCE if level > 9 else level for level in probe]

        edit(bundle, nudge)
        Bundle.load(bundle)


class TestMissing:
    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(BundleMissing, match=r"no manifest\.json in .*nowhere; expected a folder"):
            Bundle.load(tmp_path / "nowhere")

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(BundleMissing, match=r"no manifest\.json"):
            Bundle.load(tmp_path)

    def test_file_in_the_place_of_the_folder(self, tiny_bundle: Path) -> None:
        with pytest.raises(BundleMissing, match=r"no manifest\.json"):
            Bundle.load(tiny_bundle / "model.onnx")

    @pytest.mark.parametrize("name", ["model.onnx", "model.keras"])
    def test_file_that_the_manifest_names(self, bundle: Path, name: str) -> None:
        (bundle / name).unlink()
        with pytest.raises(BundleMissing, match=f"has no {name}, which"):
            Bundle.load(bundle)


class TestCorrupted:
    @pytest.mark.parametrize("name", ["model.onnx", "model.keras"])
    @pytest.mark.parametrize("place", [0, 0.5, -1])
    def test_one_flipped_byte(self, bundle: Path, name: str, place: float) -> None:
        data = bytearray((bundle / name).read_bytes())
        data[int(place * len(data)) if 0 < place < 1 else int(place)] ^= 1
        (bundle / name).write_bytes(data)
        with pytest.raises(BundleCorrupted, match=f"{name} has SHA-256 [0-9a-f]{{64}}; the manifest has"):
            Bundle.load(bundle)

    def test_file_cut_off(self, bundle: Path) -> None:
        (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes()[:1000])
        with pytest.raises(BundleCorrupted, match="SHA-256"):
            Bundle.load(bundle)

    @pytest.mark.parametrize(
        "content",
        [b"", b"words", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"schema_version": 1}'],
        ids=["empty", "words", "cut off", "a list", "null", "no text", "next to nothing"],
    )
    def test_manifest_that_is_none(self, bundle: Path, content: bytes) -> None:
        (bundle / "manifest.json").write_bytes(content)
        with pytest.raises(BundleCorrupted, match=r"manifest\.json is not a manifest"):
            Bundle.load(bundle)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param(entry("schema_version", to=2), "schema_version", id="unknown schema version"),
            pytest.param(entry("speed", to=1), "speed", id="unknown entry"),
            pytest.param(entry("temperature", to=0), "temperature", id="temperature of zero"),
            pytest.param(entry("tta", to="heavy"), "tta", id="unknown adaptation"),
            pytest.param(entry("preprocessing", "variant", to="v9"), "variant", id="unknown variant"),
            pytest.param(entry("preprocessing", "framing", "zoom", to=2), "zoom", id="unknown framing"),
            pytest.param(entry("review", "min_confidence", to=2), "min_confidence", id="threshold out of range"),
            pytest.param(lambda manifest: manifest.pop("labels"), "labels", id="no labels"),
        ],
    )
    def test_manifest_of_another_form_names_what_is_wrong(self, bundle: Path, change: Edit, words: str) -> None:
        edit(bundle, change)
        with pytest.raises(BundleCorrupted, match="is not a manifest") as caught:
            Bundle.load(bundle)
        assert words in str(caught.value)

    def test_manifest_without_a_graph(self, bundle: Path) -> None:
        edit(bundle, lambda manifest: manifest["files"].pop("model.onnx"))
        with pytest.raises(BundleCorrupted, match=r"does not name model\.onnx"):
            Bundle.load(bundle)


class TestMismatch:
    @pytest.mark.parametrize(
        "labels",
        [list(CLASSES[::-1]), list(CLASSES[:4]), [*CLASSES, "Blast"], [name.lower() for name in CLASSES]],
        ids=["another order", "four", "six", "lower case"],
    )
    def test_other_labels(self, bundle: Path, labels: list[str]) -> None:
        edit(bundle, entry("labels", to=labels))
        with pytest.raises(BundleMismatch, match=r"the bundle's labels are .*; expected Basophil, Eosinophil, Lympho"):
            Bundle.load(bundle)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(entry("preprocessing", "variant", to="v1"), id="variant v1"),
            pytest.param(entry("preprocessing", "variant", to="v2"), id="variant v2"),
            pytest.param(entry("preprocessing", "variant", to="v3"), id="variant v3"),
            pytest.param(entry("preprocessing", "framing", "mode", to="off"), id="framing off"),
            pytest.param(entry("preprocessing", "framing", "diameters", to=2.0), id="window"),
            pytest.param(entry("preprocessing", "white_balance", to=False), id="white balance"),
            pytest.param(entry("preprocessing", "color_normalization", to="reinhard"), id="colour normalisation"),
        ],
    )
    def test_other_preprocessing_than_the_model_was_trained_with(self, bundle: Path, change: Edit) -> None:
        edit(bundle, change)
        with pytest.raises(
            BundleMismatch, match=r"the probe differs by \d+ levels, at most 3 are accepted; export the"
        ):
            Bundle.load(bundle)

    def test_code_that_prepares_otherwise(self, bundle: Path) -> None:
        """The same from the other side: the manifest is sound, and this code makes something else of the probe."""

        def moved(manifest: dict[str, Any]) -> None:
            manifest["preprocessing_probe"][17] += 4

        edit(bundle, moved)
        with pytest.raises(BundleMismatch, match="the probe differs by 4 levels"):
            Bundle.load(bundle)

    def test_probe_of_another_length(self, bundle: Path) -> None:
        edit(bundle, lambda manifest: manifest["preprocessing_probe"].pop())
        with pytest.raises(BundleMismatch, match="the probe has 47 levels; expected 48"):
            Bundle.load(bundle)

    def test_every_error_is_a_model_error_of_status_500(self) -> None:
        assert issubclass(BundleError, ModelError)
        assert {kind.status for kind in (BundleMissing, BundleCorrupted, BundleMismatch)} == {500}


class TestGraph:
    """The graph must have the expected inputs and outputs, which the manifest does not contain."""

    def test_contract_is_read_off_the_graph(self, tiny_classifier: OnnxClassifier) -> None:
        assert tiny_classifier.image_size == 224
        assert tiny_classifier.embedding_size == 32
        assert tiny_classifier.grid == (7, 7)
        assert tiny_classifier.provider == "CPUExecutionProvider"

    def test_outputs(self, tiny_classifier: OnnxClassifier, drawn_views: NDArray[np.uint8]) -> None:
        outputs = tiny_classifier(drawn_views[:3])
        shapes = {name: getattr(outputs, name).shape for name in OUTPUTS}
        assert shapes == {"logits": (3, 5), "aux_logit": (3, 1), "embedding": (3, 32), "cam": (3, 5, 7, 7)}
        assert all(getattr(outputs, name).dtype == np.float32 for name in OUTPUTS)
        assert outputs.cam.min() >= 0

    def test_file_that_is_no_graph(self, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"words")
        with pytest.raises(BundleCorrupted, match=r"model\.onnx is not a graph"):
            OnnxClassifier(tmp_path / "model.onnx")

    def test_graph_of_something_else(self, tmp_path: Path) -> None:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, str(tmp_path / "model.onnx"))
        with pytest.raises(
            BundleMismatch, match=r"expected one uint8 'image' and \('logits', 'aux_logit', 'embedding'"
        ):
            OnnxClassifier(tmp_path / "model.onnx")

    @pytest.mark.parametrize(
        "views",
        [
            np.zeros((1, 192, 192, 3), np.uint8),
            np.zeros((224, 224, 3), np.uint8),
            np.zeros((1, 224, 224, 1), np.uint8),
            np.zeros((1, 224, 224, 3), np.float32),
            np.zeros((0, 224, 224, 3), np.uint8),
        ],
        ids=lambda views: f"{views.dtype} {views.shape}",
    )
    def test_other_views_are_refused(self, tiny_classifier: OnnxClassifier, views: NDArray[Any]) -> None:
        with pytest.raises(ModelError, match=r"received .*; the graph expects uint8 \(N, 224, 224, 3\)"):
            tiny_classifier(views)

    def test_views_in_another_memory_order(
        self, tiny_classifier: OnnxClassifier, drawn_views: NDArray[np.uint8]
    ) -> None:
        turned = np.asfortranarray(drawn_views[:2])
        np.testing.assert_array_equal(tiny_classifier(turned).logits, tiny_classifier(drawn_views[:2]).logits)

    def test_threads_change_nothing(self, tiny_bundle: Path, drawn_views: NDArray[np.uint8]) -> None:
        one, many = (OnnxClassifier(tiny_bundle / "model.onnx", threads=n)(drawn_views[:2]) for n in (1, 2))
        np.testing.assert_allclose(one.logits, many.logits, rtol=1e-4, atol=1e-5)

    @pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU here")
    @pytest.mark.parametrize("device", ["cuda", "tensorrt"])
    def test_device_that_is_asked_for_and_missing(self, tiny_bundle: Path, device: Device) -> None:
        with pytest.raises(DeviceUnavailable, match=rf"device '{device}' is not available: .* CPUExecutionProvider"):
            OnnxClassifier.of(Bundle.load(tiny_bundle), device=device)

    @pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU here")
    @pytest.mark.parametrize("device", ["auto", "cpu"])
    def test_device_that_is_here(self, tiny_bundle: Path, device: Device) -> None:
        assert OnnxClassifier.of(Bundle.load(tiny_bundle), device=device).provider == "CPUExecutionProvider"

    def test_file_is_at_fault_and_not_the_device(self, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"no graph")
        with pytest.raises(BundleCorrupted):
            OnnxClassifier(tmp_path / "model.onnx", device="cuda")

    def test_integers_are_for_cpus(self, tiny_bundle: Path) -> None:
        with pytest.raises(DeviceUnavailable, match="received device 'cuda'"):
            OnnxClassifier.of(Bundle.load(tiny_bundle), device="cuda", graph="int8")

    def test_graph_that_the_bundle_does_not_offer(self, tiny_bundle: Path) -> None:
        with pytest.raises(BundleMissing, match="has no fp16 graph, only fp32"):
            OnnxClassifier.of(Bundle.load(tiny_bundle), graph="fp16")

    def test_cpu_quota(self) -> None:
        assert cpu_quota() >= 1

    @pytest.mark.parametrize(("quota", "threads"), [(1, 1), (2, 1), (3, 1), (8, 4)])
    def test_half_of_the_cores_serve_unless_told_otherwise(
        self, quota: int, threads: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wbc.cpu.cpu_quota", lambda: quota)
        assert serving_threads() == threads
        assert serving_threads(5) == 5


class TestPacking:
    @pytest.fixture
    def outputs(self) -> Outputs:
        rng = np.random.default_rng(0)
        shapes = ((4, 5), (4, 1), (4, 32), (4, 5, 7, 6))
        return Outputs(*(rng.random(shape).astype(np.float32) for shape in shapes))

    def test_there_and_back(self, outputs: Outputs) -> None:
        rows = outputs.packed()
        assert rows.shape == (4, 5 + 1 + 32 + 5 * 42)
        assert rows.dtype == np.float32
        back = Outputs.unpacked(rows, 32, (7, 6))
        for name in OUTPUTS:
            np.testing.assert_array_equal(getattr(back, name), getattr(outputs, name))

    def test_of_another_graph(self, outputs: Outputs) -> None:
        with pytest.raises(ModelError, match="received 248 values per view"):
            Outputs.unpacked(outputs.packed(), 32, (7, 7))


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
