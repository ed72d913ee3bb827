"""AnimateDiff's own layout of temporal modules, and diffusers': the same tensors under two sets of names.

original   down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_q.weight
diffusers  down_blocks.0.motion_modules.0.transformer_blocks.0.attn2.to_q.weight

The original keeps its table of positions once in each of the two attentions, diffusers once for both.
"""

import re
from collections.abc import Mapping

from diffusers import MotionAdapter
from torch import Tensor

from training.models.finite import check_weights
from training.models.parts import TEMPORAL, kind_of_tensors

_PAIRS = (
    (".temporal_transformer.", "."),
    (".attention_blocks.0.", ".attn1."),
    (".attention_blocks.1.", ".attn2."),
    (".norms.0.", ".norm1."),
    (".norms.1.", ".norm2."),
    (".ff_norm.", ".norm3."),
)
_POSITIONS = ".pos_encoder.pe"
_MODULE = re.compile(r"(.*motion_modules\.\d+)\.(.*)")


def original_from_motion(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' names -> AnimateDiff's own.

    Args:
        state: state dict of a `MotionAdapter`.
    """
    original: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = _MODULE.fullmatch(name)
        if match is None:
            raise ValueError(f"{name} is not of a temporal module")
        renamed = f"{match[1]}.temporal_transformer.{match[2]}"
        for original_part, diffusers_part in _PAIRS[1:]:
            renamed = renamed.replace(diffusers_part, original_part)
        if renamed.endswith(".pos_embed.pe"):
            block = renamed.removesuffix(".pos_embed.pe")
            for attention in (0, 1):
                original[f"{block}.attention_blocks.{attention}{_POSITIONS}"] = tensor.clone()
        else:
            original[renamed] = tensor.contiguous()
    return original


def diffusers_name(name: str) -> str:
    """diffusers' name of a tensor of AnimateDiff's temporal modules; names of other tensors are unchanged."""
    renamed = re.sub(r"\.attention_blocks\.\d+\.pos_encoder\.pe$", ".pos_embed.pe", name)
    for original_part, diffusers_part in _PAIRS:
        renamed = renamed.replace(original_part, diffusers_part)
    return renamed


def motion_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """AnimateDiff's own names -> diffusers'. Prefixes that trainers leave (`module.`) are dropped.

    Raises:
        ValueError: if these are not temporal modules, or contradict one another.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        diffusers_key = name.removeprefix("module.").removeprefix("unet.")
        if ".motion_modules." not in diffusers_key:
            continue  # some releases keep the whole UNet in the file
        diffusers_key = diffusers_name(diffusers_key)
        if diffusers_key in renamed and not renamed[diffusers_key].equal(tensor):
            raise ValueError(f"two different tables of positions for {diffusers_key}")
        renamed[diffusers_key] = tensor
    if not renamed:
        raise ValueError("no temporal modules in it (names with .motion_modules.)")
    return renamed


def adapter_from_original(state: Mapping[str, Tensor], *, norm_groups: int, num_heads: int = 8) -> MotionAdapter:
    """A `MotionAdapter` with the weights of a file in AnimateDiff's own layout; its shape is read off the tensors.

    Args:
        state: the file's tensors.
        norm_groups: groups of the group norms, which the tensors do not show.
        num_heads: heads of the attentions, likewise; 8 in every AnimateDiff release.

    Raises:
        ValueError: if the tensors are not those of temporal modules, or one cannot be a weight.
    """
    kind = kind_of_tensors(state.keys())
    if kind != TEMPORAL:
        raise ValueError(f"not temporal modules but {kind}")
    check_weights({name: tensor for name, tensor in state.items() if ".motion_modules." in name})
    renamed = motion_from_original(state)
    widths: dict[int, int] = {}
    layers: dict[int, set[int]] = {}
    for name, tensor in renamed.items():
        match = re.fullmatch(r"down_blocks\.(\d+)\.motion_modules\.(\d+)\.norm\.weight", name)
        if match:
            widths[int(match[1])] = len(tensor)
            layers.setdefault(int(match[1]), set()).add(int(match[2]))
    tables = [tensor for name, tensor in renamed.items() if name.endswith(".pos_embed.pe") and tensor.ndim == 3]
    if (
        not widths
        or sorted(widths) != list(range(len(widths)))
        or len({len(indices) for indices in layers.values()}) != 1
    ):
        raise ValueError("its temporal modules are not those of a UNet's down blocks")
    adapter = MotionAdapter(
        block_out_channels=tuple(widths[level] for level in sorted(widths)),
        motion_layers_per_block=len(layers[0]),
        motion_norm_num_groups=norm_groups,
        motion_num_attention_heads=num_heads,
        motion_max_seq_length=tables[0].shape[1] if tables else 24,  # of the first release, which stores no table
        use_motion_mid_block=any(name.startswith("mid_block.") for name in renamed),
    )
    expected = adapter.state_dict()
    missing = sorted(name for name in expected if name not in renamed and not name.endswith(".pos_embed.pe"))
    if missing or set(renamed) - set(expected):
        mismatched = [*missing, *sorted(set(renamed) - set(expected))]
        raise ValueError(f"not the tensors of AnimateDiff's temporal modules; {mismatched[0]} is missing or unknown")
    try:
        adapter.load_state_dict({**expected, **{name: tensor.float() for name, tensor in renamed.items()}})
    except RuntimeError as error:
        raise ValueError(f"tensors of other shapes: {' '.join(str(error).split())[:200]}") from error
    return adapter
