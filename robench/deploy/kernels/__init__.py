"""Convolutions as machine code made for their shape: over the columns that are left, not lowered.

`layout` says where numbers lie and which of them are computed together, `convolution` writes that
down for LLVM with what `code` gives, and `native` has it compiled and calls it.
"""
