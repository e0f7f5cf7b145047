"""Class shares of new samples: estimates with intervals, and the difference of two samples."""
