"""LLM Distillery: distil a large model's judgement of articles into a small student."""
