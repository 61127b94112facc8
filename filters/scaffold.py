"""A filter to start from: valid, free of findings, and commented where a beginner would wonder."""

from __future__ import annotations

import re
from pathlib import Path

from distillery.filters.errors import InputError
from distillery.filters.scalars import may_be_plain

_TEMPLATE = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata:
  name: {name}
spec:
  version: 1                # the folder is named v1; a new meaning is a new version
  description: Finds articles about local food, told with evidence. Replace this with your own purpose.

  # Opens the oracle's prompt. Say what is judged, and what sounds alike but is not meant.
  scope:
    judge: >-
      Judge how far the article shows food being grown, traded and eaten locally, and what that changes for the people
      concerned. Judge what is reported as done, not what is promised.
    outOfScope:
      - restaurant reviews and recipes
      - stock prices and results of food companies

  # What is scored, each from 0 to 10. Their order is the order of the model's outputs, so add new ones at the end.
  # Weights are shares of the overall score and sum to 1; weight 0 is for what only rules use.
  dimensions:
    - name: substance
      weight: 0.5
      description: How much the article is about local food itself, rather than touching on it in passing.
      anchors:              # points of the scale that anybody would recognise; 3 to 6 of them
        - {{score: 0, meaning: Not about local food at all.}}
        - {{score: 3, meaning: Local food is mentioned in passing.}}
        - {{score: 6, meaning: "Local food is the main subject, described in general terms."}}
        - {{score: 9, meaning: "A thorough account of places, people and practices."}}
    - name: effect
      weight: 0.3
      description: What changes for growers, eaters or nature, as far as the article shows it to have happened.
      anchors:
        - {{score: 0, meaning: "No effect, or harm."}}
        - {{score: 4, meaning: "An effect is likely, or small."}}
        - {{score: 7, meaning: A clear effect on a community.}}
        - {{score: 10, meaning: A lasting effect on a region.}}
    - name: evidence
      weight: 0.2
      description: "How well the article supports what it says: figures, named sources, several voices."
      anchors:
        - {{score: 0, meaning: Assertion or advertisement.}}
        - {{score: 5, meaning: "Some figures or a named source, one side only."}}
        - {{score: 9, meaning: "Figures with sources, several voices, doubts spoken of."}}

  # The first tier whose rule holds; the last has none. Rules know dimension names, `overall`, numbers,
  # comparisons (5 <= effect < 7), and / or / not, parentheses.
  tiers:
    - {{name: high, when: "overall >= 6.5"}}
    - {{name: medium, when: "overall >= 4"}}
    - {{name: low}}

  # A weakness that nothing makes up for: it caps the overall score.
  gatekeepers:
    - {{when: "evidence < 2", cap: 3.9, because: no evidence}}

  # What is left out before scoring. RE2 patterns, case-insensitive, over title and content.
  prefilter:
    minChars: 300
    exclude:
      - '\\baccept (all )?cookies\\b'

  # The large model whose judgement is distilled. replay answers from recorded replies, so it needs no key.
  oracle:
    provider: replay
    model: gemini-2.5-flash
    maxWords: 800

  # The small model that learns it. On a laptop without a GPU use --profile laptop.
  student:
    baseModel: Qwen/Qwen2.5-1.5B
    revision: 8faed761d45a263340a0528343f099c05c9a4323
    maxLength: 512
  training: {{epochs: 3, batchSize: 8, learningRate: 2.0e-5}}

  # What a student must pass. Error alone is not enough: one that never predicts the best tier can have a small one.
  gates:
    - {{metric: mae, below: 0.9}}
    - {{metric: dimension_mae, below: 1.2}}
    - {{metric: spearman, atLeast: 0.6}}
    - {{metric: score_compression, atLeast: 0.6}}
    - {{metric: tier_recall, tier: high, atLeast: 0.4}}
    - {{metric: skill, baseline: source_median, atLeast: 0.02}}
    - {{metric: skill, baseline: tfidf_ridge, atLeast: 0.0}}   # not behind the best simple baseline
  promotion: {{channel: production, approval: none}}
"""


def new_filter(name: str, folder: str | Path) -> Path:
    """Write a filter to start from, as <folder>/<name>/v1/filter.yaml.

    Args:
        name: name of the filter.
        folder: folder of all filters.

    Returns:
        The file.

    Raises:
        InputError: the name is bad, or the filter exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", name):
        hint = "use lower-case letters, digits and hyphens, starting with a letter"
        raise InputError(f'"{name[:80]}" is not a filter\'s name', where="parameter name", hint=hint)
    path = Path(folder) / name / "v1" / "filter.yaml"
    if path.parent.parent.exists():
        raise InputError(f"{path.parent.parent} exists", where="parameter name", hint="choose another name, or edit that one")
    try:
        path.parent.mkdir(parents=True)
        path.write_text(_TEMPLATE.format(name=name if may_be_plain(name) else f'"{name}"'), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path), hint="choose another --out") from None
    return path
