"""Drift: are the scores of new articles spread as the adapter's reference is?"""
