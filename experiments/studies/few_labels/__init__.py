"""FixMatch, ShrinkMatch and HybridNet with few labels."""
