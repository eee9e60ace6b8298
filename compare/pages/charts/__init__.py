"""Pictures of a comparison, as HTML and SVG that need no script."""

from compare.pages.charts.drifting import drift
from compare.pages.charts.heat import heat_map
from compare.pages.charts.losses import loss_curves
from compare.pages.charts.matrix import matrix

__all__ = ["drift", "heat_map", "loss_curves", "matrix"]
