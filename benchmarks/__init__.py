"""Benchmarks. Each module is one command that writes a table under results/."""
