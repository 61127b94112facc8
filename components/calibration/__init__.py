"""Calibration: is this rubric, with this oracle, worth paying for? And how much do its labels differ from themselves?"""
