"""The sections of a report, one file for what each is about."""
