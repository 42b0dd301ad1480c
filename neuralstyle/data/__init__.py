"""Data files of the package; see ATTRIBUTION.md."""
