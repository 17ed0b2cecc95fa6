"""Scores of transferability against the accuracy after fine-tuning."""
