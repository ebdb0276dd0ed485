"""Operators of torch without MACs, by the usual convention of papers on pruning.

Biases, normalisation, activations, pooling, softmax, resizing, reductions over one tensor, and data
movement. Elementwise operators and views are tagged as such by torch, and are not listed. Names are
without a leading or trailing underscore.
"""

from __future__ import annotations

__all__ = ["FREE"]

_MADE = (
    "arange empty empty_like empty_strided eye fill full full_like linspace lift_fresh "
    "lift_fresh_copy new_empty new_empty_strided new_full new_ones new_zeros ones ones_like "
    "scalar_tensor zero zeros zeros_like tril_indices triu_indices "
    "bernoulli native_dropout normal rand rand_like randint randn randn_like randperm uniform"
)
_MOVED = (
    "cat clone constant_pad_nd copy copy_from embedding embedding_bag flip fold im2col col2im "
    "gather index index_copy index_fill index_put index_put_impl index_select local_scalar_dense "
    "masked_fill masked_scatter masked_select nested_tensor_from_mask nonzero pack_padded_sequence "
    "pad_packed_sequence pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle "
    "reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d "
    "replication_pad2d replication_pad3d reshape_alias reshape_copy resize roll scatter "
    "scatter_add scatter_reduce select_scatter set slice_scatter stack take to_copy to_dense "
    "as_strided detach squeeze swapaxes swapdims t transpose unsqueeze "
    "tril triu unfold_copy unsafe_index unsafe_split unsafe_split_with_sizes unsafe_view where "
    "pad_enum pad_circular rot90 diag_embed view_copy"
)
_NORMALISED = (
    "batch_norm_impl_index batch_norm_with_update_functional batch_norm_no_update "
    "cudnn_batch_norm fused_rms_norm log_softmax native_batch_norm native_batch_norm_legit "
    "native_batch_norm_legit_no_training native_group_norm native_layer_norm rms_norm "
    "safe_softmax softmax sparse_softmax weight_norm_interface"
)
_POOLED = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d "
    "fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool2d_with_indices "
    "max_pool3d_with_indices max_unpool2d max_unpool3d mkldnn_max_pool2d "
    "upsample_bicubic2d upsample_bicubic2d_aa upsample_bilinear2d upsample_bilinear2d_aa "
    "upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "upsample_nearest_exact1d upsample_nearest_exact2d upsample_nearest_exact3d "
    "upsample_trilinear3d"
)
_REDUCED = (
    "all amax aminmax amin any argmax argmin argsort bincount bucketize count_nonzero cummax "
    "cummin cumprod cumsum equal histc is_all_true is_any_true isin kthvalue linalg_vector_norm "
    "logcumsumexp logsumexp max mean median min mode nanmean nansum norm prod searchsorted sort "
    "std std_mean sum topk unique unique2 unique_consecutive var var_mean"
)
_ACTIVATED = "glu prelu prelu_kernel rrelu_with_noise log_sigmoid_forward"
_ASKED = "assert_async assert_tensor_metadata functional_assert_async sym_size is_nonzero"

FREE = frozenset(
    " ".join((_MADE, _MOVED, _NORMALISED, _POOLED, _REDUCED, _ACTIVATED, _ASKED)).split()
)
"""Names of the operators, without their overloads."""
