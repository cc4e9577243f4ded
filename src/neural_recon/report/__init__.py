"""The report: one HTML file that shows the pictures, says how good they are and how they came about."""

from neural_recon.report.page import build
from neural_recon.report.results import SubjectFiles

__all__ = ["SubjectFiles", "build"]
