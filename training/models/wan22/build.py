"""The tiny Wan: the classes of Wan2.2, small enough to be trained from nothing on two cores.

Its tokenizer learns the words of the data set's captions, and its VAE is fitted to the data set's pictures. Its text
encoder and transformer start from random weights, which the stages `words` and `base` train.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from training.models.wan22.base import WanBase
from training.models.wan22.codec import fit_wan_codec
from training.models.wan22.flow import Flow
from training.models.wan22.registration import WanTinyConfig

_SPACE, _PAD, _END, _UNKNOWN = "▁", "<pad>", "</s>", "<unk>"
_MAX_TOKENS = 48
_LETTER_SCORE = -30.0  # log probability of each letter of a word that is spelt out: below those of all known words
_TEXT_LAYERS, _HEAD_WIDTH = 3, 32


def build_tiny(model: WanTinyConfig, captions: Iterable[str], pictures: Tensor, objective: Flow, seed: int) -> WanBase:
    """A tiny base whose transformer and text encoder are untrained.

    Args:
        model: its sizes, and how it is used.
        captions: captions whose words the tokenizer learns.
        pictures: (N, 3, H, W) in [-1, 1], to which the VAE is fitted.
        objective: the objective that it will be trained on.
        seed: seed of the initial weights.
    """
    shape, tokenizer = model.shape, word_tokenizer(captions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text_encoder = UMT5EncoderModel(
            UMT5Config(
                vocab_size=len(tokenizer),
                d_model=shape.text_width,
                d_kv=min(_HEAD_WIDTH, shape.text_width),
                d_ff=2 * shape.text_width,
                num_layers=_TEXT_LAYERS,
                num_heads=max(1, shape.text_width // _HEAD_WIDTH),
                dropout_rate=0.0,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
        transformer = WanTransformer3DModel(
            num_attention_heads=shape.num_heads,
            attention_head_dim=shape.width // shape.num_heads,
            in_channels=shape.latent_channels,
            out_channels=shape.latent_channels,
            text_dim=shape.text_width,
            ffn_dim=4 * shape.width,
            num_layers=shape.num_blocks,
        )
        nn.init.zeros_(transformer.proj_out.weight)  # so that its first predictions are 0, as in DiT
    vae = fit_wan_codec(pictures, patch_px=shape.patch_px, latent_channels=shape.latent_channels)
    networks = {"vae": vae, "text_encoder": text_encoder, "transformer": transformer}
    return WanBase(
        configs={
            part: dict(network.config.to_dict() if part == "text_encoder" else network.config)
            for part, network in networks.items()
        },
        load=lambda part: networks[part].requires_grad_(False).eval(),
        tokenizer=tokenizer,
        objective=objective,
        frames=model.frames,
        order=model.order,
    )


def word_tokenizer(captions: Iterable[str]) -> T5Tokenizer:
    """A tokenizer of UMT5's kind with a piece for every word of some captions; others are spelt out.

    Raises:
        ValueError: if there are no captions.
    """
    counts: Counter[str] = Counter()
    for caption in sorted(set(captions)):
        counts.update(re.findall(r"[^\W\d_]+", caption))
    if not counts:
        raise ValueError("no captions to learn words from")
    total = sum(counts.values())
    word_pieces = [(_SPACE + word, math.log(count / total)) for word, count in sorted(counts.items())]
    letters = sorted({*map(chr, range(33, 127)), *"".join(counts), _SPACE})
    letter_pieces = [(letter, _LETTER_SCORE) for letter in letters]
    special = [(_PAD, 0.0), (_END, 0.0), (_UNKNOWN, 0.0)]
    return T5Tokenizer(vocab=[*special, *word_pieces, *letter_pieces], extra_ids=0, model_max_length=_MAX_TOKENS)
