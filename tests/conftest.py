"""Property tests draw the same examples in every run, not judged by the clock; `make test-long` draws many anew."""

from hypothesis import HealthCheck, settings

settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.register_profile(
    "long", deadline=None, max_examples=300, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("reproducible")
