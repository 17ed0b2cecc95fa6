"""What the loss around a trained network looks like, as one page.

Run as ``python -m experiments.inspect run=runs/NAME``.
"""
