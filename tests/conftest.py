"""Property tests draw the same examples in every run, not judged by the clock; `make test-long` draws many anew.

`make mutation` asks only whether a test fails, so it does not look for the smallest example that does.
"""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.register_profile(
    "long", deadline=None, max_examples=300, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("mutation", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("reproducible")
