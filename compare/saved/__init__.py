"""Models and data that lie in files."""

from compare.saved.drawn import drawn_data
from compare.saved.files import read_data
from compare.saved.models import loaded_model

__all__ = ["drawn_data", "loaded_model", "read_data"]
