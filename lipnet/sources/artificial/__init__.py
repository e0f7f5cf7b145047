"""Artificial liposomes (thesis, section 4.8.4): what a micrograph holds, and how it is drawn."""
