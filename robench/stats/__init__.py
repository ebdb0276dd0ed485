"""Intervals and resampling: statistics that know nothing of networks or records."""
