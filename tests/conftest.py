"""Property tests draw the same examples in every run and are not judged by the clock."""

from hypothesis import settings

settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")
