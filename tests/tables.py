"""What tests do to Arrow tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def with_columns(table: pa.Table, columns: dict[str, Any]) -> pa.Table:
    """`table` with other or further columns, each a list of its length."""
    kept = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table({**kept, **{name: pa.array(values) for name, values in columns.items()}})
