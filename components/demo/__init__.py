"""A corpus made of latent facts, whose true scores are known, and recorded oracle replies to it. No third-party text."""
