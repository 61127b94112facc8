"""An adapter as a repository of the Hugging Face Hub: the exported folder, in one commit, read back and scored.

The commit names its parent, so that what somebody else commits meanwhile is not overwritten. The key is the Hub client's own
(HF_TOKEN, or `hf auth login`), and is never printed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from distillery.components.articles.scratch import scratch_folder
from distillery.components.sharing.bundle_copy import BundleCopy
from distillery.components.sharing.folder import export_folder
from distillery.components.store import Store
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
KEEP: Final = (".gitattributes",)  # the Hub's own
CACHE: Final = ".cache"  # what the client leaves in a folder it downloads to


class Pushed(NamedTuple):
    """What an export to the Hub did.

    Attributes:
        url: address of the commit; "" where nothing was sent.
        revision: the commit; "" where nothing was sent.
        files: sizes in bytes by path.
        difference: the largest one in points, of what was read back, or of the folder where nothing was sent.
        reused: True if the repository held exactly this already.
    """

    url: str
    revision: str
    files: dict[str, int]
    difference: float
    reused: bool


def export_hub(
    store: Store,
    bundle: BundleCopy,
    repo: str,
    *,
    private: bool = False,
    with_base: bool = False,
    replace: bool = False,
    dry_run: bool = False,
    endpoint: str | None = None,
) -> Pushed:
    """Push the exported folder to a repository, read the commit back, and score the golden texts from it.

    Args:
        store: where benchmark and verdict are.
        bundle: the bundle.
        repo: OWNER/NAME.
        private: True for a repository that others don't see, where it is made now.
        with_base: True to include a base model that is on the Hub, too.
        replace: True if another content of the repository may be replaced; the Hub keeps its history.
        dry_run: True to make and check the folder, and send nothing.
        endpoint: address of the Hub; None for HF_ENDPOINT, else huggingface.co.

    Returns:
        The commit and its files.

    Raises:
        InputError: the Hub can't be reached or refuses, holds something else, or what was read back is not what was sent.
    """
    if not REPO.fullmatch(repo):
        raise InputError("is no repository", where=f"--to {repo[:120]}", hint="write OWNER/NAME")
    with scratch_folder("distillery-hub-") as scratch:
        folder = scratch / "folder"
        difference = export_folder(store, bundle, folder, with_base=with_base)
        files = {name: (folder / name).stat().st_size for name in _names(folder)}
        if dry_run:
            return Pushed("", "", files, difference, False)
        inside = with_base or not bundle.on_hub()
        with _told(repo):
            from huggingface_hub import HfApi

            api = HfApi(endpoint=endpoint, library_name="llm-distillery")
            parent, there = _present(api, repo)
            if there and parent and _holds(api, repo, parent, folder, scratch / "present"):
                url = f"{api.endpoint}/{repo}/commit/{parent}"
                return Pushed(url, parent, files, bundle.check(scratch / "present", inside=inside), True)
            if there and not replace:
                hint = "name another repository, or give --replace: its history is kept"
                raise InputError(f"holds something else ({', '.join(there[:3])} …)", where=repo, hint=hint)
            url, revision = _commit(api, repo, folder, sorted(set(there) - files.keys()), parent, private, bundle.digest)
            if not _holds(api, repo, revision, folder, scratch / "back"):
                what = "was not stored as it was sent"
                raise InputError(what, where=f"{repo}@{revision[:12]}", hint="don't use that commit; export again")
        try:
            difference = bundle.check(scratch / "back", inside=inside)
        except InputError as error:
            hint = "don't use that commit; export again"
            raise InputError(error.what, where=f"{repo}@{revision[:12]}", hint=hint) from error
        return Pushed(url, revision, files, difference, False)


def _names(folder: Path) -> list[str]:
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(path.as_posix() for path in paths if path.parts[0] not in (CACHE, *KEEP))


def _present(api: HfApi, repo: str) -> tuple[str | None, list[str]]:
    """Return the newest commit of a repository and its files; None where there is no such repository."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.model_info(repo)
    except RepositoryNotFoundError:
        return None, []
    names = [each.rfilename for each in found.siblings or []]
    return found.sha, [name for name in names if name not in KEEP]


def _holds(api: HfApi, repo: str, revision: str, folder: Path, to: Path) -> bool:
    """Download a commit, and return whether it has the folder's files and no other, byte by byte."""
    api.snapshot_download(repo, revision=revision, local_dir=to)
    names = _names(folder)
    return _names(to) == names and all((folder / name).read_bytes() == (to / name).read_bytes() for name in names)


def _commit(
    api: HfApi, repo: str, folder: Path, gone: list[str], parent: str | None, private: bool, digest: str
) -> tuple[str, str]:
    """Make the repository where there is none, and commit the folder in one piece; return address and digest of the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    if parent is None:
        api.create_repo(repo, private=private, exist_ok=True)
    added = [CommitOperationAdd(name, folder / name) for name in _names(folder)]
    done = api.create_commit(
        repo,
        [*(CommitOperationDelete(name, is_folder=False) for name in gone), *added],
        commit_message=f"Adapter {digest[:12]}",
        parent_commit=parent,
    )
    return str(done.commit_url), str(done.oid)


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Say in one line what the Hub or the way to it says."""
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the client raises many kinds, also of its HTTP library
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            what, hint = "the Hub refuses this", "set HF_TOKEN to a key that may write there, or run `hf auth login`"
        elif status == 412:
            what, hint = "somebody else committed meanwhile; nothing was overwritten", "look at it, then export again"
        else:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            what, hint = f"the Hub can't do this ({type(error).__name__}: {reason})", "export again; what is there is found"
        raise InputError(what, where=repo, hint=hint) from error
