"""Side-by-side timings; each module is one command, and writes a table under results/."""
