"""Other forms of a convolution or a pooling, of the same function: one file per form.

None is fastest for every shape, so the autotuner chooses (:mod:`robench.deploy.columns`,
:mod:`robench.deploy.nhwc_forms`, :mod:`robench.deploy.nchw_fusion`).
"""
