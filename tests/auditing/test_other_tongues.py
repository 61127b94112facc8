"""The audit on languages that name themselves otherwise, put no spaces between words, or ask for consent in other words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table
from distillery.components.articles.languages import language_code, same_language
from distillery.components.articles.word_counts import word_count
from distillery.components.auditing.audit import examine, score_matrix
from distillery.components.auditing.boilerplate import phrases_found, walls
from distillery.components.auditing.checks import lengths
from distillery.components.auditing.wall_phrases import PHRASES
from distillery.components.benchmarking.slices import slicings
from distillery.filters.normal_form import normal_texts
from distillery.filters.patterns import matching

Makes = Callable[..., list[Label]]

WALLS = {
    "es": [
        "Utilizamos cookies propias y de terceros para mejorar tu experiencia y mostrarte publicidad personalizada. "
        "Puedes aceptar todas las cookies, rechazarlas o configurar tus preferencias.",
        "Con tu consentimiento, nosotros y nuestros socios usamos cookies para almacenar y acceder a información en tu "
        "dispositivo. Puedes retirar tu consentimiento en cualquier momento. Aceptar y cerrar. Gestionar opciones.",
        "Este contenido es exclusivo para suscriptores. Si ya lo eres, entra con tu clave.",
        "Valoramos tu privacidad. Nosotros y nuestros 842 socios almacenamos y procesamos datos. ACEPTO MÁS OPCIONES",
        "Contenido exclusivo. Suscríbete para seguir leyendo. ¿Ya eres suscriptor? Inicia sesión.",
    ],
    "pt": [
        "Utilizamos cookies para melhorar a sua experiência e apresentar publicidade personalizada. Aceitar todos os cookies. "
        "Gerir preferências.",
        "Nós e os nossos parceiros armazenamos informações no seu dispositivo. Pode retirar o seu "
        "consentimento. Rejeitar tudo.",
        "Valorizamos a sua privacidade. Nós e os nossos 842 parceiros armazenamos cookies e dados. MAIS OPÇÕES CONCORDO",
        "Conteúdo exclusivo para assinantes. Faça login ou assine para continuar lendo. Já é assinante? Entre aqui.",
    ],
    "fr": [
        "Nous utilisons des cookies et d'autres traceurs pour mesurer l'audience. Vous pouvez tout accepter, tout refuser ou "
        "paramétrer vos choix. Continuer sans accepter.",
        "Avec nos partenaires, nous stockons des informations sur votre appareil sur la base de l'intérêt "
        "légitime. Vous pouvez "
        "retirer votre consentement à tout moment. Accepter et fermer.",
        "Avec votre accord, nous et nos 842 partenaires stockons des données personnelles. EN SAVOIR PLUS ACCEPTER & FERMER",
        "Cet article est réservé aux abonnés. Abonnez-vous pour lire la suite. Déjà abonné ? Connectez-vous.",
    ],
    "de": [
        "Wir und unsere Partner verwenden auf dieser Seite Cookies. Alle akzeptieren. Nur notwendige Cookies. "
        "Cookie-Einstellungen anpassen.",
        "Wir speichern Informationen auf einem Gerät auf Grundlage berechtigter Interessen. Sie können Ihre Einwilligung "
        "jederzeit widerrufen. Akzeptieren und weiter. Zwecke anzeigen.",
        "Willkommen! Weiter mit Werbung lesen oder im Pur-Abo ohne Tracking für 4,99 Euro.",
        "Dieser Inhalt ist exklusiv für Plus-Abonnenten. Jetzt freischalten und weiterlesen.",
        "Testen Sie jetzt 4 Wochen für 1 Euro. Sie haben bereits ein Abo? Hier anmelden",
        "Dieser Artikel ist nur für Abonnenten. Jetzt registrieren und weiterlesen. Bereits Abonnent?",
    ],
    "it": [
        "Utilizziamo i cookie per personalizzare contenuti e pubblicità personalizzata. Accetta tutti i cookie. Gestisci "
        "preferenze. Continua senza accettare.",
        "Noi e i nostri partner archiviamo informazioni su un dispositivo sulla base del legittimo interesse. Puoi revocare il "
        "tuo consenso. Rifiuta tutto.",
        "Noi e i nostri 842 fornitori archiviamo informazioni quali cookie su un dispositivo. ACCETTO PIÙ OPZIONI",
        "Hai raggiunto il limite di articoli gratuiti. Abbonati a 1€ al mese.",
        "Contenuto riservato agli abbonati. Abbonati per continuare a leggere. Sei già abbonato? Accedi.",
    ],
}
ARTICLES = [
    "El gobierno presentó ayer una ley que obliga a los sitios web a pedir permiso antes de guardar datos. La ministra explicó "
    "que los ciudadanos deben poder decidir y que las empresas tendrán dos años. La oposición pidió más tiempo y las "
    "asociaciones de consumidores celebraron la medida, que llega después de años de quejas por las ventanas que nadie lee y "
    "por la venta de perfiles. El debate seguirá en otoño en el parlamento, con audiencias públicas y expertos.",
    "A autoridade de proteção de dados multou ontem três empresas que guardavam dados dos leitores sem autorização. Segundo o "
    "relatório, as páginas escondiam a recusa atrás de vários menus. As empresas dizem que vão recorrer e que os leitores "
    "sempre puderam escolher. A multa é a maior do país até agora, e a decisão pode chegar aos tribunais europeus no próximo "
    "ano, dizem advogados que acompanham o caso desde o início.",
    "La Cour a jugé hier que les éditeurs doivent laisser aux lecteurs un vrai choix avant de mesurer leur navigation. Les "
    "associations saluent la décision; les régies publicitaires craignent une baisse de leurs recettes. "
    "Le texte laisse dix-huit "
    "mois aux sites pour changer leurs bannières. Plusieurs journaux ont déjà annoncé une hausse du prix de leurs abonnements, "
    "et un débat s'ouvre sur le financement de la presse locale.",
    "Das Gericht entschied am Dienstag, dass Verlage ihre Leser fragen müssen, bevor sie deren Verhalten messen. Die Verbände "
    "sprachen von einem guten Tag, die Werbewirtschaft von einem Schlag. Die Regierung will das Gesetz "
    "im Herbst ändern und den "
    "Häusern zwei Jahre Zeit geben. Nach Ansicht der Richter war die Ablehnung zu oft in Menüs versteckt, die kaum jemand "
    "öffnet, und das genüge den Regeln nicht.",
    "Il garante ha multato ieri tre editori che misuravano il comportamento dei lettori prima di chiedere il permesso. Secondo "
    "il provvedimento il rifiuto era nascosto in menu che nessuno apre. Gli editori annunciano ricorso e dicono che i lettori "
    "hanno sempre potuto scegliere. La decisione arriva dopo due anni di indagini e potrebbe costare "
    "alle aziende il quattro per "
    "cento dei ricavi, scrivono i giornali economici.",
]


@pytest.mark.parametrize("language", list(WALLS))
def test_consent_walls_and_paywalls_are_seen_in_each_language(language: str) -> None:
    pages = WALLS[language]
    assert walls([""] * len(pages), pages) == list(range(len(pages)))
    long = [f"{page} {page.replace('cookies', 'galletas')}" for page in pages]
    assert walls(["Portada"] * len(pages), long) == list(range(len(pages)))


def test_phrases_looked_for_together_are_those_found_one_by_one() -> None:
    texts = normal_texts([page for pages in WALLS.values() for page in pages] + ARTICLES)
    singly = [sum(bool(matching(texts.slice(row, 1), phrase)[0].as_py()) for phrase in PHRASES) for row in range(len(texts))]
    assert phrases_found(texts).tolist() == singly
    assert (min(singly), max(singly) > 2) == (0, True)


def test_articles_about_consent_are_none() -> None:
    assert walls([""] * len(ARTICLES), ARTICLES) == []


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("en", "en"), ("EN", "en"), ("en-US", "en"), ("en_GB.UTF-8", "en"), ("eng", "en"), ("English", "en"),
        ("english (US)", "en"),
        ("ger", "de"), ("deu", "de"), ("Deutsch", "de"), ("fre", "fr"), ("Français", "fr"), ("Brazilian Portuguese", "pt"),
        ("zh-Hans", "zh"), ("zho", "zh"), ("Chinese (Simplified)", "zh"), ("日本語", "ja"), ("Norwegian Bokmål", "nb"),
        ("iw", "he"),
        ("हिन्दी", "hi"), ("தமிழ்", "ta"), ("বাংলা", "bn"), ("franc\u0327ais", "fr"), ("Serbian (Latin)", "sr"),
        ("Azerbaijani (Latin)", "az"),
        ("Bahasa Indonesia", "id"), ("Bahasa Melayu", "ms"), ("Tiếng Việt", "vi"), ("简体中文", "zh"), ("ภาษาไทย", "th"),
        ("Cantonese", "zh"), ("cz", "cs"), ("dk", "da"), ("französisch", "fr"), ("alemán", "de"), ("auto", ""), ("multi", ""),
        ("und", ""), ("unknown", ""), ("", ""), ("gsw", "gsw"), ("Klingon", "klingon"),
    ],
)  # fmt: skip
def test_a_language_is_one_by_whatever_name(declared: str, code: str) -> None:
    assert language_code(declared) == code


@pytest.mark.parametrize(("left", "right"), [("nb", "no"), ("nn", "nb"), ("hr", "sr"), ("id", "ms"), ("nl", "nl")])
def test_languages_that_no_short_text_tells_apart_are_not_doubted(left: str, right: str) -> None:
    assert same_language(left, right)
    assert not same_language(left, "ja")


def declared_as(labels: list[Label], names: list[str]) -> list[Label]:
    return [replace(label, article=replace(label.article, language=names[at % len(names)])) for at, label in enumerate(labels)]


def test_one_language_under_many_names_is_one_slice_and_no_disagreement(make_labels: Makes) -> None:
    labels = declared_as(make_labels(40), ["en", "EN", "en-US", "eng", "English"])
    frame = label_table(labels, list(labels[0].scores))
    document = examine(frame, list(labels[0].scores), score_matrix(frame, list(labels[0].scores)).mean(axis=1))
    assert [row["value"] for row in document["languages"]["table"]] == ["en"]
    assert document["languages"]["disagree"] == 0
    by = {slicing.by: slicing for slicing in slicings(frame)}
    assert by["language"].values == ["en"]


def test_norwegian_is_not_doubted(make_labels: Makes) -> None:
    text = "Regjeringen la i går fram et forslag om nye regler for skolene, og kommunene sier at de trenger mer tid og penger. "
    labels = [
        Label(Article(f"n{at}", f"Nyheter {at}", text * 3 + str(at), language="nb"), {"clarity": at % 11 / 1.0})
        for at in range(40)
    ]
    frame = label_table(labels, ["clarity"])
    document = examine(frame, ["clarity"], np.arange(40.0) % 11)
    assert document["languages"]["disagree"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "今天天气很好，我们去公园散步，看见了许多老人和孩子在湖边喂鸭子。" * 5,
        "政府は昨日、新しい学校の規則についての提案を発表しました。市町村は時間とお金が必要だと言っています。" * 4,
        "รัฐบาลประกาศเมื่อวานนี้ว่าจะปรับปรุงโรงเรียนทั่วประเทศและขอให้ท้องถิ่นช่วยกันดูแลเด็กนักเรียนทุกคนอย่างดี" * 4,
        "ລັດຖະບານໄດ້ປະກາດໃນມື້ວານນີ້ວ່າຈະປັບປຸງໂຮງຮຽນທົ່ວປະເທດແລະຂໍໃຫ້ທ້ອງຖິ່ນຊ່ວຍເຫຼືອເດັກນ້ອຍທຸກຄົນໃຫ້ດີ" * 4,
    ],
    ids=["Chinese", "Japanese", "Thai", "Lao"],
)
def test_words_without_spaces_between_them_are_counted(text: str) -> None:
    assert 50 < word_count(text) < len(text)
    assert lengths([word_count(text)] * 3, np.array([1.0, 2.0, 3.0]))["short"] == 0


def test_words_with_spaces_are_counted_as_ever() -> None:
    for text in ("", "one two  three\nfour", "café – au lait", "мир труд май", "한국어 문장 입니다"):
        assert word_count(text) == len(text.split())
    assert word_count("中文字 with English") == 4


def scaled(labels: list[Label], change: Callable[[str, float], float]) -> dict[str, Any]:
    names = list(labels[0].scores)
    changed = [replace(label, scores={name: change(name, value) for name, value in label.scores.items()}) for label in labels]
    frame = label_table(changed, names)
    return examine(frame, names, score_matrix(frame, names).mean(axis=1))


def test_labels_of_0_to_1_are_called_out_first(make_labels: Makes) -> None:
    document = scaled(make_labels(320), lambda name, value: value / 10)
    first = document["findings"][0]
    assert (first["level"], first["check"]) == ("warn", "scale")
    assert "0 to 1" in first["message"]
    document = scaled(make_labels(320), lambda name, value: value / 10 if name == "depth" else value)
    assert [each["message"][:18] for each in document["findings"] if each["check"] == "scale"] == ["depth never passes"]
    document = scaled(make_labels(320), lambda name, value: value)
    assert not [each for each in document["findings"] if each["check"] == "scale"]


@pytest.mark.parametrize(("low", "top"), [(1, 5), (0, 4), (1, 7), (0, 3)])
def test_labels_on_the_scale_of_a_survey_are_called_out(make_labels: Makes, low: int, top: int) -> None:
    labels = make_labels(320)
    document = scaled(labels, lambda name, value: round(min(top, max(low, low + value / 8 * (top - low)))))
    first = document["findings"][0]
    assert (first["level"], first["check"]) == ("warn", "scale")
    assert f"GO FROM {low} TO {top}:" in first["message"]
    assert f"data.scale: [{low}, {top}]" in first["mend"]
    document = scaled(labels, lambda name, value: round(min(5, max(1, value))) if name == "depth" else value)
    assert not [each for each in document["findings"] if each["check"] == "scale"]
