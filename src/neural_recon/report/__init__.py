"""The report: one HTML file that shows the pictures, says how good they are and how they came about."""
