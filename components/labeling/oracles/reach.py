"""Whether an oracle can be asked from here: its key, its client library, and a connection to its service. Nothing is asked."""

from __future__ import annotations

from distillery.components.labeling.engine import run
from distillery.components.labeling.oracles.base import OracleError, Remote, open_oracle
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter


def require_oracle(flt: Filter) -> None:
    """Raise unless the filter's oracle can be asked from here.

    Args:
        flt: the filter.

    Raises:
        InputError: a key or the client library is missing, or there are no recorded replies.
        Stopped: no connection to the service can be had; any answer of it counts as one.
    """
    oracle = open_oracle(flt)

    async def reach() -> None:
        try:
            if isinstance(oracle, Remote):
                await oracle.reach()
        finally:
            await oracle.close()

    try:
        run(reach())
    except OracleError as error:
        hint = "check oracle.baseUrl, the network and its proxies (HTTPS_PROXY, NO_PROXY); then the same command goes on"
        raise Stopped(str(error), hint=hint) from None
