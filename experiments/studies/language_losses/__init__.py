"""Fine-tuning of a language model by the earth mover's distance (EMO)."""
