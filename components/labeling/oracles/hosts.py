"""Where keys may go.

A filter names the endpoint and the variable of its key, so whoever writes one can have a key sent where they like. On one's
own machine that is a matter of reading the filter first. On a cluster many people write filters, and the keys belong to whoever
runs it: `DISTILLERY_ORACLE_HOSTS`, a setting of the cluster, says which hosts may be asked. The address is compared as a whole
word, never by a part of it.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

HOSTS: Final = "DISTILLERY_ORACLE_HOSTS"


def require_host(flt: Filter) -> None:
    """Raise if the filter's endpoint is not among those that this place allows.

    Args:
        flt: the filter; without oracle.baseUrl the provider's own endpoint is asked, or the one that the environment names.

    Raises:
        InputError: DISTILLERY_ORACLE_HOSTS is set, and has neither the host of oracle.baseUrl nor host:port.
    """
    allowed = os.environ.get(HOSTS, "").lower().replace(",", " ").split()
    if not allowed or not flt.spec.oracle.baseUrl:
        return
    where = urlsplit(flt.spec.oracle.baseUrl.lower())
    if {where.netloc, where.hostname} & {*allowed}:
        return
    raise InputError(
        f"{where.netloc} may not be asked from here: {HOSTS} has {', '.join(allowed)}",
        where="spec.oracle.baseUrl",
        hint="use one of those, or have whoever runs this place add the host",
    )
