"""Texts whose raw predictions travel with a bundle: whoever loads it scores them again and compares.

A bundle can have the right keys and still be another model (a head that was never saved, another base); eight articles
and half a second show it. The texts are ours, made up, of various lengths.
"""

from __future__ import annotations

_LONG = (
    "The town switched its district heating from gas to a river-source heat pump of 4 megawatts. Over two winters the utility "
    "published hourly data: the pump delivered three units of heat for each unit of power, bills fell by 12 percent, and the "
    "backup boiler ran for 31 days. Residents on low incomes got a capped tariff. Critics note that the grid connection came "
    "eighteen months late and that the river licence limits how much heat may be taken in a dry summer. "
)

GOLDEN: list[tuple[str, str]] = [
    ("River heat pump warms a town", _LONG),
    ("River heat pump warms a town", _LONG * 4),
    ("Pilot stopped", "The battery pilot was stopped after nine months: two of three cells failed and no data were published."),
    (
        "Startup claims a breakthrough",
        "A startup says its film doubles the yield of any solar panel. It names no test, no price and no date.",
    ),
    (
        "Coöperatie bouwt zonnedak",
        "Vijfhonderd huishoudens bouwden samen een zonnedak op de school. Wie niet kon betalen, deed mee zonder inleg; "
        "de opbrengst is na drie jaar gemeten en openbaar.",
    ),
    ("Minister belooft wet", "De minister kondigde opnieuw een wet aan voor schoon staal. Een datum noemde zij niet."),
    (
        "Shares fall on rate fears",
        "Stocks slid on Tuesday as traders weighed another rise in interest rates. Banks led the losses.",
    ),
    ("Recipe of the week", "Bake the apples for forty minutes."),
]
