"""Rules of grey levels for tests."""

from lipnet.sources.formats.grey_levels import GreySettings

AS_STORED = GreySettings(rule="as_stored", bits=None, per="micrograph", low_percent=0, high_percent=100)
STRETCHED = GreySettings(rule="percentile", bits=None, per="particle", low_percent=0, high_percent=100)
POOLED = STRETCHED.model_copy(update={"per": "micrograph"})
