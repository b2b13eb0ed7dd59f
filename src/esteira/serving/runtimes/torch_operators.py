"""Which operators of ATen a program from a store may call: those that are listed, and nothing else.

Left out is what gives memory that nobody wrote or raw memory, files, sparse and quantised tensors, what draws
at random, what outlives the call, and kernels that take their own sizes on trust. Some that every model needs
look too little at what they are given; these are called with a check.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST = 2**63  # a size, or a number on the way to one
_STEEPEST = 64  # exponent

_LISTED = """
    add addbmm addcdiv addcmul addmm addmv addr baddbmm bmm dot einsum inner kron linear matmul mm mv
    outer tensordot vdot linalg_cross linalg_matmul linalg_multi_dot linalg_norm linalg_vecdot
    linalg_vector_norm trace conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    convolution celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid
    log_softmax logit mish prelu relu relu6 selu sigmoid silu softmax softplus softshrink tanh threshold
    _log_softmax _safe_softmax _softmax special_expit special_log_softmax special_softmax group_norm
    instance_norm layer_norm native_group_norm native_layer_norm rms_norm cosine_similarity
    _native_batch_norm_legit_no_training adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
    max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d
    max_pool3d_with_indices _adaptive_avg_pool2d _adaptive_avg_pool3d abs absolute acos acosh angle arccos
    arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh bitwise_and
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max
    clamp_min clip copysign cos cosh deg2rad digamma div divide erf erfc erfinv exp exp2 expm1 fix
    float_power floor floor_divide fmax fmin fmod frac heaviside hypot ldexp lerp lgamma log log10 log1p
    log2 logaddexp logaddexp2 maximum minimum mul multiply nan_to_num neg negative positive pow rad2deg
    reciprocal remainder round rsqrt rsub sgn sign signbit sin sinc sinh special_erf special_erfc
    special_expm1 special_log1p special_logit special_ndtr special_sinc special_xlogy sqrt square sub
    subtract tan true_divide trunc xlogy all amax amin aminmax any argmax argmin argsort count_nonzero
    cummax cummin cumprod cumsum diff dist kthvalue logcumsumexp logsumexp max mean median min mode
    nanmean nanmedian nanquantile nansum norm prod quantile sort std std_mean sum topk var var_mean cdist
    _cdist_forward pairwise_distance pdist _pdist_forward adjoint alias atleast_1d atleast_2d atleast_3d
    block_diag broadcast_tensors broadcast_to cartesian_prod cat channel_shuffle chunk clone column_stack
    concat concatenate constant_pad_nd contiguous detach diag diag_embed diagflat diagonal dsplit dstack
    expand expand_as flatten flip fliplr flipud hsplit hstack mH mT matrix_H meshgrid moveaxis movedim
    narrow numpy_T pad permute pixel_shuffle pixel_unshuffle ravel reflection_pad1d reflection_pad2d
    reflection_pad3d repeat replication_pad1d replication_pad2d replication_pad3d reshape reshape_as roll
    rot90 row_stack slice split split_with_sizes squeeze stack swapaxes swapdims t tensor_split tile
    transpose tril triu unbind unflatten unfold unsafe_chunk unsafe_split unsafe_split_with_sizes
    unsqueeze view view_as vsplit vstack _unsafe_view alias_copy detach_copy diagonal_copy expand_copy
    narrow_copy permute_copy select_copy slice_copy split_copy split_with_sizes_copy squeeze_copy t_copy
    transpose_copy unbind_copy unfold_copy unsqueeze_copy view_copy im2col col2im embedding embedding_bag
    _embedding_bag_forward_only gru lstm rnn_relu rnn_tanh scaled_dot_product_attention
    _scaled_dot_product_flash_attention_for_cpu eq equal ge greater greater_equal gt isclose isfinite isin
    isinf isnan isneginf isposinf isreal le less less_equal logical_and logical_not logical_or logical_xor
    lt ne not_equal where bucketize diagonal_scatter gather index index_add index_copy index_fill
    index_put index_select masked_fill masked_scatter masked_select nonzero scatter scatter_add
    scatter_reduce select select_scatter slice_scatter take take_along_dim one_hot upsample_bicubic2d
    upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    upsample_trilinear3d grid_sampler grid_sampler_2d affine_grid_generator arange eye fill full full_like
    lift_fresh_copy linspace logspace new_full new_ones new_zeros ones ones_like scalar_tensor
    tril_indices triu_indices zero zeros zeros_like _to_copy to type_as item sym_numel sym_size complex
    conj imag polar real resolve_conj resolve_neg view_as_complex view_as_real fft_fft fft_fft2 fft_fftn
    fft_fftshift fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_irfft fft_irfft2 fft_irfftn fft_rfft
    fft_rfft2 fft_rfftn _fft_c2c _fft_c2r _fft_r2c
"""
SERVED = frozenset(_LISTED.split())
# What makes more than it is given, as its sizes say.
_MAKING = """
    arange eye full linspace logspace new_full new_ones new_zeros ones tril_indices triu_indices zeros
    broadcast_to constant_pad_nd expand expand_copy pad repeat tile affine_grid_generator
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
    upsample_nearest3d upsample_trilinear3d
"""
MAKERS = frozenset(_MAKING.split())
# Another reading of the same bytes; rows of other lengths, packed.
REFUSED_OVERLOADS = frozenset(
    {"view.dtype", "view_copy.dtype", "gru.data", "lstm.data", "rnn_relu.data", "rnn_tanh.data"}
)


class UnknownOperator(BadInput):
    """An operator that is not called for a model from a store."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"operator {name!r} is not served: only listed ATen operators that compute, draw nothing at "
            "random and change no tensor; export the model in eval mode without it, or convert it to ONNX"
        )
        self.name = name


def of_sizes(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic as sizes need it: on other things, or without an end, it would hold up the whole process."""

    def computed(*sizes: float) -> Any:  # noqa: ANN401 - a number
        is_steep = compute is operator.pow and abs(sizes[-1]) > _STEEPEST
        if any(not isinstance(each, int | float) or abs(each) > _LARGEST for each in sizes) or is_steep:
            raise BadInput(f"the program computes {compute.__name__} of what is no size; export it again")
        return compute(*sizes)

    return computed
