"""Content and Dockerfile of each Bento, and the slim one served."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.deploy.conftest import SPECS, BuiltBento
from tests.served import ROOT, Served

# The same tests for the Bento, through this module's `server_url`.
from tests.service.test_served import (  # noqa: F401
    cell,
    post,
    test_answers_with_everything_the_plan_names,
    test_bad_requests,
    test_bad_uploads,
    test_chunked_body_is_limited_too,
    test_page_and_its_headers,
    test_request_id_is_kept_where_it_is_sane,
    test_same_image_same_answer,
    test_turkish_report_and_no_report,
)
from wbc.bundle import Bundle

MARKER = "built.txt"
LOCKS = {
    "full": ROOT / "requirements-serve.lock",
    "slim": ROOT / "requirements-serve-slim.lock",
    "gpu": ROOT / "requirements-serve-gpu.lock",
}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def slim_server(slim_bento: BuiltBento, bento_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The slim Bento, served with the environment of its image."""
    # Only the built copy contains this file.
    (slim_bento.folder / "src" / "wbc" / "web" / MARKER).write_text("from the Bento")
    tag = f"{slim_bento.info['name']}:{slim_bento.info['version']}"
    environment = {**slim_bento.environment, "BENTOML_HOME": str(bento_home), "BENTOML_CONTAINERIZED": "true"}
    with Served(tmp_path_factory.mktemp("slim-server"), target=tag, **environment) as server:
        yield server


@pytest.fixture(scope="module")
def server_url(slim_server: Served) -> str:
    """Address of the Bento, for the imported tests."""
    return slim_server.url


@pytest.fixture
def loaded_libraries(slim_server: Served) -> set[str]:
    """Files mapped by the processes of the slim Bento."""
    supervisor = psutil.Process(slim_server.process.pid)
    return {
        mapped.path
        for process in (supervisor, *supervisor.children(recursive=True))
        for mapped in process.memory_maps(grouped=True)
    }


def parse_pins(text: str) -> dict[str, str]:
    """Return the version of each package, and check that every line is a pin."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "#"))]
    found = {name: version for name, version, _ in PIN.findall(text)}
    assert {re.split(r"\[|==", line)[0] for line in lines} == set(found)
    return found


def list_hashed(text: str) -> set[str]:
    """Return the packages that have a SHA-256."""
    return {name for name, _, rest in PIN.findall(text) if "--hash=sha256:" in rest}


def test_contains_only_the_source_and_the_model(bento: BuiltBento) -> None:
    source = bento.folder / "src"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    expected = {"service.py", "pyproject.toml", "README.md", "LICENSE", "bentofile.yaml"}
    kept = {file for file in files if not file.startswith(("wbc/", "models/default/")) and file not in expected}
    assert kept == set()
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "wbc").rglob("*.py")} <= files
    assert Bundle.load(source / "models" / "default").sha256 == Bundle.load(ROOT / "models" / "default").sha256


def test_services_of_each_variant(bento: BuiltBento) -> None:
    services = {service["name"] for service in bento.info["services"]}
    keras = {"GradCam"} if bento.info["labels"]["variant"] == "full" else set()
    assert services == {"Analyzer", "Classifier", "Explainer"} | keras
    assert bento.info["entry_service"] == "Analyzer"


def test_dockerfile(bento: BuiltBento) -> None:
    text = bento.dockerfile
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.11-slim"]
    assert "uv venv --python 3.11" in text
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["bentoml"], "must not run as root"
    assert re.search(r"^ARG BENTO_USER_UID=1034$", text, re.MULTILINE), "deploy/ runs as this user"
    assert "3000" in re.findall(r"^EXPOSE (\d+)", text, re.MULTILINE)
    assert "pip install -r $BENTO_PATH/env/python/requirements.txt" in text
    assert re.search(r'^ENTRYPOINT \[ "\$?\S*/entrypoint.sh" \]', text, re.MULTILINE)
    for name, value in bento.environment.items():
        assert re.search(rf"^ARG {name}={re.escape(value)}$", text, re.MULTILINE)
        assert f"ENV {name}=${name}" in text


def test_image_contains_no_secret(bento: BuiltBento) -> None:
    assert set(bento.environment) <= {"BENTOML_HOST", "BENTOML_DO_NOT_TRACK", "WBC_GRADCAM", "WBC_DEVICE"}
    for text in (bento.dockerfile, (bento.folder / "bento.yaml").read_text()):
        assert not re.search(r"API_KEY|TOKEN|PASSWORD|--mount=type=secret", text)


def test_image_installs_what_was_locked(bento: BuiltBento) -> None:
    variant = bento.info["labels"]["variant"]
    lock = LOCKS[variant].read_text()
    assert parse_pins(bento.requirements) == parse_pins(lock)
    # BentoML adds itself once more, without a hash; uv checks the hash of the line that has one.
    assert list_hashed(bento.requirements) == list_hashed(lock) == set(parse_pins(lock))
    assert not re.search(r"NO_VERIFY_HASHES|--no-verify-hashes|index-url|find-links", bento.dockerfile + lock)


def test_locks_of_the_variants() -> None:
    full, slim, gpu = (parse_pins(LOCKS[variant].read_text()) for variant in SPECS)
    assert {"tensorflow", "keras", "onnxruntime-gpu"} <= set(full)
    for lean in (slim, gpu):
        assert not {"tensorflow", "keras", "h5py"} & set(lean)
    assert "onnxruntime-gpu" not in slim
    assert slim["onnxruntime"] == gpu["onnxruntime-gpu"] == full["onnxruntime-gpu"]
    assert {"nvidia-cublas", "nvidia-cudnn-cu13"} <= set(gpu)
    everything = parse_pins((ROOT / "requirements.lock").read_text())
    for lock in (full, slim, gpu):
        shared = set(lock) & set(everything)
        assert {name: lock[name] for name in shared} == {name: everything[name] for name in shared}


def test_specifications_differ_only_in_name_lock_and_environment() -> None:
    full, *others = (yaml.safe_load((ROOT / file).read_text()) for file in SPECS.values())
    for other in others:
        for key in ("service", "description", "include", "exclude", "docker"):
            assert other[key] == full[key]
        assert other["envs"][: len(full["envs"])] == full["envs"]


def test_the_built_copy_is_served(slim_server: Served) -> None:
    assert httpx.get(f"{slim_server.url}/web/{MARKER}").text == "from the Bento"


def test_slim_service_loads_no_tensorflow(slim_server: Served, loaded_libraries: set[str], cell: bytes) -> None:  # noqa: F811
    assert post(slim_server.url, cell).status_code == 200
    assert any("onnxruntime" in file for file in loaded_libraries), "no library of the model process found"
    assert [file for file in loaded_libraries if re.search(r"/(tensorflow|keras|h5py|jax)", file)] == []


@pytest.mark.parametrize("params", [{"gradcam": "keras"}, {"layer": "attention"}])
def test_slim_service_rejects_requests_for_the_keras_graph(
    slim_server: Served,
    cell: bytes,  # noqa: F811
    params: dict[str, str],
) -> None:
    response = post(slim_server.url, cell, explain="false", **params)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert "WBC_GRADCAM=false" in response.json()["error"]
    assert "closed_form" in response.json()["error"]


def test_log_contains_no_file_names(slim_server: Served, cell: bytes) -> None:  # noqa: F811
    assert post(slim_server.url, cell, "Jane-Doe-1970.png").status_code == 200
    assert "Jane-Doe" not in slim_server.log.read_text()


def test_a_killed_process_ends_the_container(slim_server: Served) -> None:
    """The last test of this file: the server ends."""
    supervisor = psutil.Process(slim_server.process.pid)
    (victim,) = (child for child in supervisor.children() if "Classifier" in child.cmdline())
    victim.kill()
    noticed = time.monotonic() + 10
    while (status := get_ready_status(slim_server)) == 200:
        assert time.monotonic() < noticed, "still ready"
    assert status in (0, 503)
    assert slim_server.process.wait(60) != 0


def get_ready_status(server: Served) -> int:
    """Return the status of `/readyz`, or 0 without a server."""
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).status_code
    except httpx.TransportError:
        return 0
