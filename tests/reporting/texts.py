"""Sources, titles and texts of the made-up run."""

from __future__ import annotations

SOURCES = ["harbour-times", "de-waterlijn", "grid-weekly", "regional-wire", "lab-notes", "policy-desk", "صحيفة الواحة"]
TITLES = [
    "Heat pumps in 400 rented homes: what two winters showed",
    "Proefinstallatie voor groene waterstof opnieuw uitgesteld",
    "A battery that promises everything and measures nothing",
    "محطة تحلية تعمل بالطاقة الشمسية تخدم ثلاث قرى",
    "<script>alert('inert')</script> Cement maker publishes life-cycle data",
    "Wind cooperative pays its first dividend to 1,900 members",
    "Nieuwe warmtenetten: goedkoper, maar voor wie?",
    "Recycling plant closes after eleven months",
    "Rail depot runs on second-hand traction batteries",
    "Carbon credits questioned by the auditor who signed them",
]
BODY = {
    "nl": "Na twee jaar proefdraaien noemt de beheerder de uitkomsten wisselend. De installatie haalde zes van de negen "
    "doelen, maar de kosten vielen een derde hoger uit dan begroot en de netaansluiting laat op zich wachten. ",
    "ar": "بعد عامين من التشغيل التجريبي تقول الهيئة إن النتائج متفاوتة. حققت المحطة ستة من أهدافها التسعة غير أن التكاليف "
    "تجاوزت الميزانية بمقدار الثلث. ",
    "en": "After two years of trial operation the operator calls the outcome mixed. The plant met six of nine targets, but "
    "costs ran a third over budget and the grid connection is late. Independent measurements cover five months only. ",
}
