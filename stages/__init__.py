"""The stages of dvc.yaml, one file each: paths come in by the command line, numbers from params.yaml."""

from lipnet.core.portable import hold

hold()  # before the stage imports a numerical library
