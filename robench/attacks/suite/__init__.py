"""Suites of attacks: their members, verification, checks, and the report."""
