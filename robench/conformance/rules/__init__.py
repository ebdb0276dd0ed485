"""The rules, by what they look at; `robench.conformance.kit.RULES` has all of them in order."""
