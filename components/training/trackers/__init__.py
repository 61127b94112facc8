"""Places outside that the curves of a training are reported to, one file a kind."""
