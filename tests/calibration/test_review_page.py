"""The review page: every article on it, marks that can be saved, and nothing of an article that runs or loads."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

from distillery.components.articles.articles import Article
from distillery.components.calibration.marks import Marks
from distillery.components.calibration.review import SHOWN, TEMPLATES, Reviewed, review_page
from distillery.filters.filter import Filter

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)><style>*{display:none}</style>" autofocus onfocus="x'


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


SAMPLES = {"calibration": "a" * 64}


def reviewed(article: Article, mark: str | None = None) -> Reviewed:
    return Reviewed(article, "calibration", passes=True, scores={"readiness": 7.5, "benefit": 3}, overall=5.25, mark=mark)


def page_of(flt: Filter, articles: list[Reviewed]) -> str:
    return review_page(flt, articles, SAMPLES, given=Marks("nobody"))


def test_every_article_can_be_marked(flt: Filter) -> None:
    articles = [Article(f"a{at}", f"Title {at}", f"Text {at}") for at in range(5)]
    page = Page(page_of(flt, [reviewed(article, "on" if article.id == "a2" else None) for article in articles]))
    assert {tag["data-article"] for tag in page.named("article")} == {article.digest for article in articles}
    radios = [tag for tag in page.named("input") if tag["type"] == "radio"]
    assert len(radios) == 15
    assert sum(radio["value"] == "on" and "checked" in radio for radio in radios) == 1
    assert len({radio["name"] for radio in radios}) == 5


def test_an_article_is_text_and_nothing_else(flt: Filter) -> None:
    text = page_of(flt, [reviewed(Article(HOSTILE, HOSTILE, HOSTILE, source=HOSTILE, language=HOSTILE))])
    page = Page(text)
    assert [len(page.named(tag)) for tag in ("script", "style", "img", "link", "iframe", "a")] == [1, 1, 0, 0, 0, 0]
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on") or key in ("src", "href", "autofocus")]
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    policy = next(tag["content"] for tag in page.named("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "alert" not in script


def test_a_page_stays_small_and_names_no_address(flt: Filter) -> None:
    text = page_of(flt, [reviewed(Article(f"a{at}", "t", f"{at}" + "ä" * 100_000)) for at in range(120)])
    assert len(text) < 120 * (SHOWN + 2_500)
    assert not re.search(r"https?://", text)


def test_a_page_says_beforehand_what_a_changed_rubric_costs(flt: Filter) -> None:
    first, fresh = reviewed(Article("a", "t", "c")), dataclasses.replace(reviewed(Article("b", "u", "d")), sample="fresh")
    both = review_page(flt, [first, fresh], {**SAMPLES, "fresh": "b" * 64}, given=Marks("nobody"))
    assert "once the rubric or the model is changed they are used up, and 1 new ones must be marked" in both
    assert "which one change of the rubric uses up" in page_of(flt, [first])


def luminance(color: str) -> float:
    whole = "".join(2 * each for each in color) if len(color) == 3 else color
    parts = [int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_apart_in_light_and_dark() -> None:
    """WCAG 2.2: 4.5 for text."""
    css = (TEMPLATES / "review.css").read_text("utf-8")
    schemes = [dict(re.findall(r"--([\w-]+): #([0-9a-f]+)", block)) for block in re.findall(r":root \{([^}]*)\}", css)]
    assert len(schemes) == 2
    for colours in schemes:
        pairs = [(text, ground) for text in ("ink", "soft", "accent", "good", "bad") for ground in ("paper", "sheet")]
        for text, ground in [*pairs, ("ink", "box"), ("ink", "warn-bg"), ("on-accent", "accent")]:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
