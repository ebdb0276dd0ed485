"""Convolution kernels, generated as LLVM IR for one shape: over nonzero columns, without im2col.

`layout` computes memory layout and register tiles, `convolution` generates the IR with the builder
in `code`, `native` compiles it and calls it by address, and `calls` binds kernels to layers.
"""
