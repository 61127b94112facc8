"""The text that stands before every article that a student of mode instruction reads."""

from __future__ import annotations

from distillery.filters.filter import Filter


def student_instruction(flt: Filter) -> str:
    """Return the text that stands before every article that the student reads.

    Args:
        flt: the filter.

    Returns:
        That of the filter, else the scope and a line for each dimension; "" where the mode is regression.
    """
    student = flt.spec.student
    if student.mode == "regression":
        return ""
    lines = [f"- {dimension.name.replace('_', ' ')}: {dimension.description.strip()}" for dimension in flt.spec.dimensions]
    return student.instruction or "\n".join([f"Score from 0 to 10: {flt.spec.scope.judge.strip()}", *lines])
