"""The demo corpus: 1,500 made-up articles with known true scores, and an oracle's recorded replies. No third-party text."""
