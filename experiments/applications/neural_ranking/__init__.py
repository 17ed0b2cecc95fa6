"""Ranking of candidates by point-, pair- and listwise losses."""
