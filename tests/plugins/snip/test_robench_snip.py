"""How a package tests its own method: one test a rule. Run it where the package is installed."""


def test_conformance(robench_rule):
    robench_rule("snip")
