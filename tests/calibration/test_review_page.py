"""The review page: every article on it, marks that can be saved, and nothing of an article that runs or loads."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from distillery.components.articles.articles import Article
from distillery.components.calibration.review import SHOWN, Reviewed, review_page
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


def reviewed(article: Article, mark: str | None = None) -> Reviewed:
    return Reviewed(article, mark, passes=True, fresh=False, scores={"readiness": 7.5, "benefit": 3}, overall=5.25)


def test_every_article_can_be_marked(flt: Filter) -> None:
    articles = [Article(f"a{at}", f"Title {at}", f"Text {at}") for at in range(5)]
    page = Page(review_page(flt, [reviewed(article, "on" if article.id == "a2" else None) for article in articles]))
    assert {tag["data-article"] for tag in page.named("fieldset")} == {article.digest for article in articles}
    radios = page.named("input")
    assert len(radios) == 15
    assert sum(radio["value"] == "on" and "checked" in radio for radio in radios) == 1
    assert len({radio["name"] for radio in radios}) == 5


def test_an_article_is_text_and_nothing_else(flt: Filter) -> None:
    text = review_page(flt, [reviewed(Article(HOSTILE, HOSTILE, HOSTILE, source=HOSTILE, language=HOSTILE))])
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
    text = review_page(flt, [reviewed(Article(f"a{at}", "t", f"{at}" + "ä" * 100_000)) for at in range(120)])
    assert len(text) < 120 * (SHOWN + 2_500)
    assert not re.search(r"https?://", text)
