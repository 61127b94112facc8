"""`distillery pipelines compile | publish | files`: pipelines as versions on Kubeflow, and what else a cluster needs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from distillery.components.runtime.whole_file import write_whole
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import JsonOpt
from distillery.pipelines.cli.printing import print_json

app = typer.Typer(
    help="Compile the project's pipelines, and publish them on Kubeflow.", no_args_is_help=True, rich_markup_mode=None
)

LightOpt = Annotated[
    str, typer.Option("--light-image", metavar="IMAGE", envvar="DISTILLERY_IMAGE_LIGHT", help="image without torch")
]
TorchOpt = Annotated[
    str, typer.Option("--torch-image", metavar="IMAGE", envvar="DISTILLERY_IMAGE_TORCH", help="image with torch")
]
EndpointOpt = Annotated[
    str, typer.Option("--endpoint", metavar="URL", envvar="KFP_ENDPOINT", help="Kubeflow Pipelines, https://host/pipeline")
]


@app.command("compile")
def compile_command(
    out: Annotated[Path, typer.Option("--out", help="folder for <version>.yaml, one a pipeline")] = Path("compiled"),
    manifests: Annotated[bool, typer.Option("--manifests", help="write Pipeline and PipelineVersion objects instead")] = False,
    light: LightOpt = "",
    torch: TorchOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Compile every pipeline of the project. The name of a version says its content, images included.

    Manifests may go without names of images: an overlay says them.
    """
    from distillery.pipelines.cluster.kubeflow import require_images
    from distillery.pipelines.versions import compile_all, write_manifests

    if not manifests:
        require_images(light, torch)
    versions = compile_all(light=light, torch=torch)
    if manifests:
        changed = write_manifests(out, versions)
        if as_json:
            print_json({"files": [str(out / path) for path in changed]})
            return
        print("\n".join(str(out / path) for path in changed) or f"{out}: nothing changed")
        return
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{version.name}.yaml" for version in versions]
    for path, version in zip(paths, versions, strict=True):
        write_whole(path, version.package())
    if as_json:
        print_json({"files": [str(path) for path in paths]})
        return
    print("\n".join(map(str, paths)))


@app.command("publish")
def publish_command(endpoint: EndpointOpt = "", light: LightOpt = "", torch: TorchOpt = "", as_json: JsonOpt = False) -> None:
    """Publish every pipeline as a version named by its content; what is there already stays as it is."""
    from distillery.pipelines.cluster.kubeflow import Kubeflow, require_images
    from distillery.pipelines.versions import compile_all

    require_images(light, torch)
    kubeflow = Kubeflow(endpoint)
    versions = compile_all(light=light, torch=torch)
    new = {version.name: kubeflow.publish(version) for version in versions}
    if as_json:
        rows = [{"pipeline": one.pipeline, "version": one.name, "new": new[one.name]} for one in versions]
        print_json({"pipelines": rows})
        return
    for version in versions:
        print(f"{version.name}: {'published' if new[version.name] else 'there already'}")


@app.command("files")
def files_command(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="a folder that is not there yet")] = Path(
        "llm-distillery"
    ),
    as_json: JsonOpt = False,
) -> None:
    """Copy manifests, recipes of the images and docs out of the installed package: a cluster's overlay starts there."""
    from shutil import copytree, ignore_patterns

    if out.exists():
        raise InputError(f"{out} is there already", where="--out", hint="name another folder, or move this one away")
    package = Path(str(files("distillery")))
    for name in ("manifests", "images", "docs"):
        copytree(package / name, out / name, ignore=ignore_patterns("__pycache__", "images.env"))
    paths = sorted(str(path) for path in out.rglob("*") if path.is_file())
    if as_json:
        print_json({"files": paths})
        return
    print(f"{out}: {len(paths)} files; next: {out / 'docs' / 'cluster.md'}")
