"""Rules are a grammar of our own: the same truth as Python's on the same text, and nothing more than it allows."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.filters.errors import InputError
from distillery.filters.expressions import MAX_DEPTH, parse

NAMES = ("a", "b", "overall")
numbers = st.one_of(st.integers(0, 10).map(str), st.decimals(0, 10, places=2).map(str))
operands = st.sampled_from(NAMES)
comparisons = st.one_of(
    st.builds("{} {} {}".format, operands, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.one_of(numbers, operands)),
    st.builds("{} <= {} < {}".format, numbers, operands, numbers),
)
rules = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({})".format, inner), st.builds("not {}".format, inner),
        st.builds("{} and {}".format, inner, inner), st.builds("{} or {}".format, inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(rules, st.lists(st.tuples(*[st.integers(0, 10)] * 3), min_size=1, max_size=5))
def test_rules_mean_what_python_means(rule: str, rows: list[tuple[int, int, int]]) -> None:
    columns = np.array(rows, dtype=np.float64).T
    held = parse(rule, NAMES).holds(dict(zip(NAMES, columns, strict=True)))
    expected = [eval(rule, {"__builtins__": {}}, dict(zip(NAMES, row, strict=True))) for row in rows]
    assert held.shape == (len(rows),)
    assert held.tolist() == expected


def test_names_and_thresholds_are_known() -> None:
    rule = parse("5 <= a <= 6 and not (b < overall)", NAMES)
    assert rule.names == set(NAMES)
    assert rule.thresholds == {("a", 5.0), ("a", 6.0)}


@pytest.mark.parametrize(("rule", "column", "fault"), [
    ("", 1, "expected a name or a number, found the end"),
    ("a", 2, "expected a comparison"),
    ("a >", 4, "expected a name or a number, found the end"),
    ("a > 1 b", 7, 'expected and, or, or the end of the rule, found "b"'),
    ("a > 1)", 6, "expected and, or"),
    ("(a > 1", 7, 'expected ")"'),
    ("a + 1 > 2", 3, 'unexpected "+"'),
    ("a > -1", 5, 'unexpected "-"'),
    ("a = 1", 3, 'unexpected "="'),
    ("a > 1 && b > 1", 7, 'unexpected "&"'),
    ("a.b > 1", 2, 'unexpected ".b"'),
    ("a > 1.2.3", 5, 'unexpected "1.2.3"'),
    ("a > 1e3", 5, 'unexpected "1e3"'),
    ("a[0] > 1", 2, 'unexpected "["'),
    ("'x' == a", 1, "unexpected"),
    ("lambda: a", 7, 'unexpected ":"'),
    ("a in b", 3, "expected a comparison"),
    ("exec(a) > 1", 5, "looks like a call"),
    ("a(1) > 1", 2, "looks like a call"),
    ("2 > 1", 3, "compares two numbers"),
    ("c > 1", 1, '"c" is not defined'),
    ("and > 1", 1, "expected a name or a number"),
    ("a > 1 and", 10, "expected a name or a number"),
    ("(a > 1) > 1", 9, "expected and, or"),
    ("ä > 1", 1, "unexpected"),
    ("a > \u0663", 5, "unexpected"),
])  # fmt: skip
def test_refusals_name_the_column(rule: str, column: int, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(rule, NAMES, where="here")
    assert f"column {column}: " in str(caught.value)
    assert fault in str(caught.value)


@pytest.mark.parametrize("rule", [
    "(" * 1000, "not " * 250, "(" * (MAX_DEPTH + 1) + "a > 1" + ")" * (MAX_DEPTH + 1), "a > 1 and " * 99 + "a > 1",
    "a" * 10_000_000, "a<" * 499 + "a", " " * 1_000, "1" * 999, "9" * 400 + " < a",
])  # fmt: skip
def test_hostile_rules_cost_nothing(rule: str) -> None:
    began = time.process_time()
    try:
        parse(rule, NAMES)
    except InputError:
        pass
    else:
        pytest.fail("accepted")
    assert time.process_time() - began < 0.5
