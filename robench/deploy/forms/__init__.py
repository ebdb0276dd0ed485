"""Other forms of a convolution or a pooling, of the same function: one file a form.

None is quickest for every shape; which one a layer gets is measured (:mod:`robench.compaction`'s
`columns`, `narrow` and `planar`).
"""
