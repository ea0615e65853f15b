"""Which tiles a route's networks saw in training, by their cards: scores on them say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..data import within
from .models import FUSION, NETWORKS, Models
from .routes import ROUTES

__all__ = ["leaked_tiles"]


def leaked_tiles(models: Models, routes: Iterable[str], ids: Sequence[int]) -> dict[str, list[str]]:
    """By route, those of some tile ids that one of its networks was trained on or chosen by, labels or not.

    Args:
        models: where the routes' weights are.
        routes: names whose weights are there; a fusion counts with all that votes in it.
        ids: of the tiles to be scored.

    Returns:
        routes that saw none are left out; a card that does not say what it saw counts as none.
    """
    found = {}
    for name in routes:
        needs = set(ROUTES[name].needs)
        if FUSION in needs:
            needs |= {need for member in models.fusion.weights for need in ROUTES[member].needs}
        seen: set[str] = set()
        for need in needs & NETWORKS.keys():
            groups = models.card(need).get("groups") or ()
            seen |= set(groups.get("ihc", ()) if isinstance(groups, Mapping) else groups)
        leaked = [str(tile) for tile in sorted(set(ids)) if within(str(tile), seen)]
        if leaked:
            found[name] = leaked
    return found
