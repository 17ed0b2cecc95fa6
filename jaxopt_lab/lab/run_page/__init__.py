"""``report.html`` of a run: outcome, curves, curvature, mistakes, provenance."""
