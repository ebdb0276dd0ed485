"""NoiseOut: noise outputs that make neurons alike, and the merging of neurons that are.

`heads` are the noise outputs. `links` says which units can be merged, `moments` how they go
together, `plan` in which order they go, `fold` lets them go, `probe` measures what that did, and
`merger` puts all that together for `method`.
"""
