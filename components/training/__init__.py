"""Training of the student: LoRA regression, resumable, deterministic."""
