"""The report of a run as one HTML page: its parts by topic, and the page that the comparison of runs uses too."""
