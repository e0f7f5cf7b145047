"""What every program of this project needs: settings, errors, files, seeds, parallel processes, the command line.

Every other package may import it. It imports none of them.
"""
