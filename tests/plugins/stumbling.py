"""A method that always raises."""

from robench import Method


class Stumbles(Method):
    """Raises before the first step."""

    name = "stumbles"

    def prepare(self, state):
        raise RuntimeError("as always")
