"""A folder that plain peft and transformers load: the bundle, tokenizer, configuration, and a card made from the verdict."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from distillery.components.reporting.figures_files import plot_files
from distillery.components.reporting.gather import gather
from distillery.components.runtime.extras import DRAWING
from distillery.components.sharing.bundle_copy import BASE, BundleCopy, base_files, companions
from distillery.components.sharing.model_card import model_card, peft_form
from distillery.components.sharing.targets import copied, new_folder
from distillery.components.store import Store

PLOTS = "plots"
OURS = frozenset({BASE, PLOTS, "parity.json"})  # what only some of these folders have


def plots_of(store: Store, bundle: BundleCopy) -> dict[str, bytes]:
    """Return the plots of the card as PNG, where what draws them is installed.

    Args:
        store: where the run's documents are.
        bundle: the bundle.

    Returns:
        Contents by name; none without the extra `documents`.
    """
    if any(find_spec(module) is None for module in DRAWING):
        return {}
    files = plot_files(gather(store, bundle.filter, bundle.summary), ("png",))
    return {name: data for name, data in files.items() if name.endswith(".png")}


def export_folder(store: Store, bundle: BundleCopy, out: Path, *, with_base: bool = False, replace: bool = False) -> float:
    """Write the folder, read it back, and score the golden texts from it.

    Args:
        store: where benchmark and verdict are.
        bundle: the bundle.
        out: the folder.
        with_base: True to include a base model that is on the model hub, too.
        replace: True if another export there may be lost.

    Returns:
        The largest difference in points from the adapter's golden predictions.

    Raises:
        InputError: what was written gives other scores, or something else is there; nothing is left then.
    """
    inside = with_base or not bundle.on_hub()
    with new_folder(out, replace=replace, ours=OURS) as folder:
        copied(dict(bundle.files), folder)
        copied({**companions(bundle), **(base_files(bundle) if inside else {})}, folder)
        plots = plots_of(store, bundle)
        copied({f"{PLOTS}/{name}": data for name, data in plots.items()}, folder)
        form = peft_form(bundle, inside=inside)
        card = model_card(store, bundle, form, plots=[f"{PLOTS}/{name}" for name in plots])
        (folder / "README.md").write_text(card, encoding="utf-8")
        return bundle.check(folder, inside=inside)
