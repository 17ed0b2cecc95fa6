"""Contrastive regression with mixtures (SupReMix), and soft labels (DeQA-Score)."""
