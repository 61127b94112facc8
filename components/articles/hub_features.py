"""Names of classes in a data set of `datasets`: a ClassLabel is stored as a number, its names in the schema's metadata.

Without them a content type would be read as "3", and a grade from the names 1 to 5 as one less than it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from distillery.filters.strict_json import loads

KEY: Final = b"huggingface"
LISTS: Final = ("Sequence", "List", "LargeList")
NUMBER: Final = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
UNKNOWN: Final = -1  # what `datasets` writes where a row has no class


def features_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """Return the features of a data set.

    Args:
        metadata: of an Arrow schema.

    Returns:
        Features by column, as `datasets` writes them; none where the file is not of `datasets`, or has them in another form.
    """
    try:
        found = loads((metadata or {}).get(KEY, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {name: each for name, each in found.items() if _has_classes(each)} if isinstance(found, dict) else {}


def with_names(row: dict[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in which classes have their names.

    Args:
        row: Python values by column.
        features: as `features_of` returns them.

    Returns:
        The row; the same one where no column of it has classes.

    Raises:
        ValueError: a class has no name; the message names the column.
    """
    named = {name: _named(row[name], each, name) for name, each in features.items() if name in row}
    return {**row, **named} if named else row


def _has_classes(feature: Any) -> bool:
    if isinstance(feature, list):
        return any(map(_has_classes, feature))
    if not isinstance(feature, dict):
        return False
    if feature.get("_type") == "ClassLabel":
        return isinstance(feature.get("names"), list) and all(isinstance(name, str) for name in feature["names"])
    return any(map(_has_classes, feature.values()))


def _named(value: Any, feature: Any, name: str) -> Any:
    if not _has_classes(feature) or value is None:
        return value
    if isinstance(feature, list):
        feature = {"feature": feature[0], "_type": LISTS[0]}  # as older versions of `datasets` write a list
    if feature.get("_type") in LISTS:
        inner = feature.get("feature")
        if isinstance(value, list):
            return [_named(each, inner, name) for each in value]
        if isinstance(value, dict) and isinstance(inner, dict):  # a sequence of structs is stored as a struct of lists
            return {key: _named(each, [inner[key]] if key in inner else {}, f"{name}.{key}") for key, each in value.items()}
        return value
    if feature.get("_type") == "ClassLabel":
        return _class(value, feature["names"], name)
    if isinstance(value, dict):
        return {key: _named(each, feature.get(key), f"{name}.{key}") for key, each in value.items()}
    return value


def _class(value: Any, names: list[str], name: str) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return value  # a name already, or a column that was made anew
    if value == UNKNOWN:
        return None
    if not 0 <= value < len(names):
        raise ValueError(f"its {name} is class {value}, and there are {len(names)}")
    if all(map(NUMBER.fullmatch, names)):
        return float(names[value])  # grades, as scores are
    return names[value]
