"""Languages by whatever name a table has for them: "en", "EN", "en-US", "eng", "English" and "English (US)" are one.

The names are those of the languages that the audit can detect, with the three-letter codes of ISO 639-2. Another tag keeps its
first part, in small letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

_TABLE = """
af afr afrikaans|am amh amharic አማርኛ|an arg aragonese aragonés|ar ara arabic العربية|as asm assamese
az aze azerbaijani azeri|be bel belarusian беларуская|bg bul bulgarian български|bn ben bengali bangla বাংলা
br bre breton brezhoneg|bs bos bosnian bosanski|ca cat catalan català valencian|cs ces cze cz czech čeština
cy cym wel welsh cymraeg|da dan dk danish dansk|de deu ger german deutsch allemand alemán tedesco|dz dzo dzongkha
el ell gre gr greek ελληνικά|en eng english englisch anglais inglés inglese|eo epo esperanto
es spa spanish español spanisch espagnol spagnolo castellano castilian|et est estonian eesti|eu eus baq basque euskara
fa fas per pes persian farsi فارسی|fi fin finnish suomi|fo fao faroese
fr fra fre french français francais französisch francés francese|ga gle irish gaeilge|gl glg galician galego|gu guj gujarati
he heb iw hebrew עברית|hi hin hindi हिन्दी हिंदी|hr hrv scr croatian hrvatski|ht hat haitian|hu hun hungarian magyar
hy hye arm armenian հայերեն|id ind in indonesian indonesia|is isl ice icelandic íslenska
it ita italian italiano italienisch italien|ja jpn jp japanese 日本語|jv jav jw javanese|ka kat geo georgian ქართული
kk kaz kazakh|km khm khmer|kn kan kannada|ko kor kr korean 한국어|ku kur kurdish|ky kir kyrgyz|la lat latin
lb ltz luxembourgish|lo lao|lt lit lithuanian lietuvių|lv lav latvian latviešu|mg mlg malagasy
mk mkd mac macedonian македонски|ml mal malayalam|mn mon mongolian монгол|mr mar marathi|ms msa may malay melayu zsm
mt mlt maltese|nb nob bokmål bokmaal|ne nep nepali|nl nld dut dutch nederlands flemish vlaams niederländisch|nn nno nynorsk
no nor norwegian norsk|oc oci occitan|or ori odia oriya|pa pan punjabi|pl pol polish polski|ps pus pashto
pt por portuguese português portugues portugiesisch|qu que quechua|ro ron rum mo romanian română|ru rus russian русский
rw kin kinyarwanda|se sme sami|si sin sinhala|sk slk slo slovak slovenčina|sl slv slovenian slovene slovenščina
sq sqi alb albanian shqip|sr srp scc serbian српски srpski|sv swe swedish svenska|sw swa swahili kiswahili
ta tam tamil தமிழ்|te tel telugu|th tha thai ไทย ภาษาไทย|tl tgl fil tagalog filipino|tr tur turkish türkçe|ug uig uyghur
uk ukr ua ukrainian українська|ur urd urdu اردو|vi vie vietnamese việt|vo vol volapük|wa wln walloon|xh xho xhosa
zh zho chi cmn cn yue chinese mandarin cantonese 中文 汉语 漢語 简体中文 繁體中文 繁体中文|zu zul zulu
"""
_ONE = (
    frozenset({"no", "nb", "nn"}),
    frozenset({"sh", "bs", "hr", "sr"}),
    frozenset({"id", "ms"}),
)  # as good as one in writing
UNKNOWN = frozenset(
    {"und", "unknown", "mul", "zxx", "mis", "n/a", "na", "none", "null", "other", "auto", "multi", "multiple", "unk", "?", "-"}
)
_IN_BRACKETS = re.compile(r"(?<=\S)\s*\(.*")  # a script or a country: Serbian (Latin)


@cache
def _codes() -> Mapping[str, str]:
    """Return two-letter codes by every name that a language goes by."""
    languages = (entry.split() for line in _TABLE.strip().splitlines() for entry in line.split("|"))
    return {name: names[0] for names in languages for name in names}


@cache
def language_code(declared: str) -> str:
    """Return the code of a language.

    Args:
        declared: what a table says: a tag of BCP 47 or POSIX ("en-US", "nb_NO.UTF-8"), a code of ISO 639, or a name.

    Returns:
        Two letters where the language is known here, else the first part of what is declared in small letters; empty where it
        says that no language is known.
    """
    whole = _IN_BRACKETS.sub("", unicodedata.normalize("NFC", declared).strip().casefold())
    parts = "".join(sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " " for sign in whole).split()
    first, codes = parts[0] if parts else "", _codes()
    if whole in UNKNOWN or first in UNKNOWN:
        return ""
    # a name may stand behind another word: "Norwegian Bokmål", "Brazilian Portuguese"
    named = [codes[part] for part in parts if part in codes and len(part) > 3]
    if first in codes and len(first) <= 3:
        return codes[first]
    return named[-1] if named else first


def same_language(left: str, right: str) -> bool:
    """True if two codes name one language, or two that no text of this length tells apart.

    Args:
        left: a code.
        right: another one.

    Returns:
        Whether a text declared as one may well be detected as the other.
    """
    return left == right or any(left in group and right in group for group in _ONE)
