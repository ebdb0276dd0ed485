"""NoiseOut: noise outputs that make neurons alike, and the merging of neurons that are.

`links` says which units can be merged, `moments` how they go together, `plan` in which order they
are merged, `fold` does it, `probe` measures what it did, `heads` are the noise outputs, and `method`
is the method itself.
"""
