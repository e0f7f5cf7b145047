"""Template, style sheet and script of the report."""
