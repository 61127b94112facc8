"""What an image is made of and called, and rules that its Containerfile keeps. No build: that is `make images`."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "images" / "Containerfile").read_text()


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"images_{name}", ROOT / "images" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tags, installing, bill = script("tag"), script("install"), script("sbom")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that images are made of, and of some that they are not."""
    for path in tags.parts():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.is_symlink():
            shutil.copy(path, copy, follow_symlinks=False)
    return tmp_path


def all_of(root: Path) -> tuple[str, ...]:
    return tuple(tags.tag(image, root) for image in tags.IMAGES)


def test_a_tag_is_what_the_files_say_and_not_where_they_lie(checkout: Path) -> None:
    assert all_of(checkout) == all_of(ROOT)
    assert all(re.fullmatch("[0-9a-f]{12}", tag) for tag in all_of(ROOT))
    assert len(set(all_of(ROOT))) == len(tags.IMAGES)


@pytest.mark.parametrize(
    "path",
    ["README.md", "tests/student/test_new.py", "docs/cluster.md", "components/student/README.md", "filters/x/v1/README.md",
     "images/README.md", "images/build.py", "manifests/base/namespace.yaml", "components/__pycache__/store.cpython-311.pyc"],
)  # fmt: skip
def test_words_tests_and_manifests_change_no_tag(path: str, checkout: Path) -> None:
    before = all_of(checkout)
    target = checkout / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("changed")
    assert all_of(checkout) == before


@pytest.mark.parametrize(
    "path", ["components/store/store.py", "pipelines/brand_new.py", "filters/profiles/laptop.yaml", "LICENSE"]
)
def test_a_file_of_the_wheel_changes_every_tag_and_leaves_the_dependencies(path: str, checkout: Path) -> None:
    before, below = all_of(checkout), tags.below("light", checkout)
    with (checkout / path).open("a") as file:
        file.write("\n# changed\n")
    assert not set(all_of(checkout)) & set(before)
    assert tags.below("light", checkout) == below


@pytest.mark.parametrize("path", ["constraints.txt", "images/install.py", "images/slim.sh", "images/Containerfile"])
def test_what_the_dependencies_follow_from_changes_every_tag(path: str, checkout: Path) -> None:
    before, below = all_of(checkout), tags.below("torch", checkout)
    with (checkout / path).open("a") as file:
        file.write("\n# changed\n")
    assert not set(all_of(checkout)) & set(before)
    assert tags.below("torch", checkout) != below


def test_a_linters_settings_change_no_tag_but_a_requirement_does(checkout: Path) -> None:
    before, path = all_of(checkout), checkout / "pyproject.toml"
    text = path.read_text()
    path.write_text(text.replace("line-length = 128", "line-length = 127"))
    assert all_of(checkout) == before
    path.write_text(text.replace('"rich>=14"', '"rich>=15"'))
    assert not set(all_of(checkout)) & set(before)


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(ValueError, match="no image of this project: light, torch, operator, serve"):
        tags.tag("heavy")


def stages() -> dict[str, str]:
    """The Containerfile's stages by name; the last, which is what is built, has none."""
    parts = re.split(r"^FROM ", "\n".join(line for line in TEXT.splitlines() if not line.startswith("#")), flags=re.MULTILINE)
    return {part.splitlines()[0].partition(" AS ")[2]: part for part in parts[1:]}


def test_the_containerfile() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    last = list(stages().values())[-1]
    assert "ARG BASE=" in lines[0]
    assert {part.split()[0] for part in stages().values()} == {"${BASE}", "scratch", "light", "torch", "${IMAGE}"}
    assert ":latest" not in TEXT
    assert not re.search(r"https?://", TEXT), "an address: indexes come from pip's own settings, as build arguments"
    assert "USER 65532:65532" in last  # a number, so that runAsNonRoot can be checked by the kubelet
    ran = [part for part in stages().values() if not part.startswith("${BASE}")]
    assert not [part for part in ran if "RUN " in part], "nothing is installed in a stage that runs"
    assert not re.search(r"\b(gcc|g\+\+|make|build-essential|binutils)\b", " ".join(lines))
    assert all("--constraint" in part for part in TEXT.split("&&") if "pip install" in part), "pinned"
    assert not re.search(r"^ADD |--trusted-host|curl |wget ", TEXT, re.MULTILINE)


def test_labels_and_settings() -> None:
    for label in ("org.opencontainers.image.revision", "org.opencontainers.image.licenses", "io.llm-distillery.deps"):
        assert label in stages()[""]
    assert "/usr/share/sbom.cdx.json" in TEXT
    assert "HOME=/tmp" in stages()["light"]  # the one writable folder of a pod with a read-only root
    assert ["HF_HUB_OFFLINE=1" in stages()[name] for name in ("light", "torch")] == [False, True]


def test_each_image_is_a_stage() -> None:
    assert set(tags.IMAGES) < set(stages())
    assert stages()["operator"].split() == ["light", "AS", "operator"]
    assert stages()["serve"].split() == ["torch", "AS", "serve"]


def test_an_app_layer_goes_last() -> None:
    copies = [line for line in stages()["light"].splitlines() if line.startswith("COPY")]
    assert copies == ["COPY --from=root / /", "COPY --from=builder /app /opt/venv"]
    assert copies[-1] in stages()["app"]


def test_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    light, cpu, cuda = (installing.wanted(*words) for words in (("light", "cpu"), ("torch", "cpu"), ("torch", "cuda")))
    assert not [line for line in light if line.startswith("torch")]
    version = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert version
    assert f"torch=={version[1]}+cpu" in cpu
    assert f"torch==={version[1]}" in cuda
    assert set(light) < set(cpu)
    assert light[0] == f"# llm-distillery=={tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"


def test_every_requirement_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pinned = {re.sub("[-_.]+", "-", line.split("==")[0]).lower() for line in (ROOT / "constraints.txt").read_text().split()}
    names = [re.split("[<>=]", line)[0].lower() for line in installing.wanted("torch", "cuda")[1:]]
    assert not set(names) - pinned


def test_what_is_dropped(tmp_path: Path) -> None:
    for path in ("lib/tests/test_a.py", "lib/core.py", "lib/core.pyi", "botocore/data/ec2/x.json", "botocore/data/s3/x.json",
                 "botocore/data/sts/x.json", "botocore/data/sqs/x.json", "botocore/data/endpoints.json"):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("12345")
    assert installing.trim(tmp_path) == 20
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"lib/core.py", "botocore/data/s3/x.json", "botocore/data/sts/x.json", "botocore/data/endpoints.json"}


def test_a_library_of_three_names_is_kept_once(tmp_path: Path) -> None:
    names = ["libarrow_python.so", "libarrow_python.so.2600", "libarrow_python.so.2600.1.0"]
    (tmp_path / "pyarrow").mkdir()
    for name in (*names, "libarrow.so.2600"):
        (tmp_path / "pyarrow" / name).write_text("other" if name == "libarrow.so.2600" else "12345")
    assert installing.trim(tmp_path) == 10
    assert [(tmp_path / "pyarrow" / name).is_symlink() for name in (*names, "libarrow.so.2600")] == [False, True, True, False]
    assert [(tmp_path / "pyarrow" / name).read_text() for name in names] == ["12345"] * 3
    assert (tmp_path / "pyarrow" / names[2]).readlink() == Path(names[0])  # also where the folder is copied elsewhere
    assert installing.trim(tmp_path) == 0


def test_of_googles_services_the_one_of_batch_labelling_stays(tmp_path: Path) -> None:
    package = tmp_path / "google/cloud/aiplatform_v1"
    for name in ("__init__.py", "types/__init__.py", "services/__init__.py", "services/job_service/client.py",
                 "services/model_service/client.py"):  # fmt: skip
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("12345")
    assert installing.trim(tmp_path) == 10
    kept = {path.relative_to(package).as_posix(): path.read_text() for path in package.rglob("*.py")}
    assert kept == {"__init__.py": ""} | dict.fromkeys(
        ["types/__init__.py", "services/__init__.py", "services/job_service/client.py"], "12345"
    )


def test_a_rule_that_takes_too_much_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "CHECK", {"rich": "rich.no_such_part"})
    with pytest.raises(Exception, match="non-zero exit status"):
        installing.imported(Path(sys.executable), ["rich>=14"])


def test_bill_of_materials() -> None:
    document = bill.document("llm-distillery==9.9")
    names = {one["name"]: one for one in document["components"]}
    assert document["bomFormat"] == "CycloneDX"
    assert "llm-distillery" in names
    assert names["pydantic"]["purl"].startswith("pkg:pypi/pydantic@")
    assert json.dumps(document) == json.dumps(bill.document("llm-distillery==9.9"))  # no time, no serial number
    assert len({one["bom-ref"] for one in document["components"]}) == len(document["components"])


def test_nothing_but_the_parts_reaches_a_build() -> None:
    lines = (ROOT / ".containerignore").read_text().split("\n")
    assert "*" in lines
    let_in = {
        "pyproject.toml",
        "constraints.txt",
        "LICENSE",
        "filters",
        "components",
        "distillery",
        "pipelines",
        "images/*.py",
        "images/*.sh",
    }
    assert {line[1:] for line in lines if line.startswith("!")} == let_in | {"images/*.sh"}
