"""The sample package has a test of its own, which runs where the package is installed."""

collect_ignore = ["snip"]
