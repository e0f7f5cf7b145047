"""Class shares of a sample: counts, and estimates corrected by the known errors of the classifier, with intervals.

``corrections`` holds what is known of a classifier's errors, ``estimators`` turn predictions of a sample into shares,
``intervals`` adds the bootstrap and ``protocol`` measures how well shares are recovered.
"""
