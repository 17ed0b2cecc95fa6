"""Figures from result files; matplotlib is imported when one is drawn."""

from jaxopt_lab.plotting.confusion import confusion_matrix
from jaxopt_lab.plotting.curves import training_curves
from jaxopt_lab.plotting.end_points import end_points
from jaxopt_lab.plotting.graph_drawing import graph_drawing
from jaxopt_lab.plotting.heat_map import heat_map
from jaxopt_lab.plotting.image_grid import image_grid
from jaxopt_lab.plotting.layer_bars import layer_bars
from jaxopt_lab.plotting.loss_lines import loss_lines
from jaxopt_lab.plotting.page import Section, html_page
from jaxopt_lab.plotting.pareto_front import pareto_front
from jaxopt_lab.plotting.rate_curve import rate_curve
from jaxopt_lab.plotting.record_panels import Line, Panel, record_panels
from jaxopt_lab.plotting.reliability import ReliabilityBins, reliability_diagram
from jaxopt_lab.plotting.score_bands import score_bands
from jaxopt_lab.plotting.sharpness_curve import sharpness_curve
from jaxopt_lab.plotting.spectrum import spectrum
from jaxopt_lab.plotting.surfaces import loss_contours, loss_surface

__all__ = [
    "Line",
    "Panel",
    "ReliabilityBins",
    "Section",
    "confusion_matrix",
    "end_points",
    "graph_drawing",
    "heat_map",
    "html_page",
    "image_grid",
    "layer_bars",
    "loss_contours",
    "loss_lines",
    "loss_surface",
    "pareto_front",
    "rate_curve",
    "record_panels",
    "reliability_diagram",
    "score_bands",
    "sharpness_curve",
    "spectrum",
    "training_curves",
]
