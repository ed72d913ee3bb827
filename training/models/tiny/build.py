"""The tiny base: the classes of Stable Diffusion, small enough to be trained from nothing on two cores.

Its tokenizer learns the words of the data set's captions, and its codec is fitted to the data set's pictures. Its text
encoder and UNet start from random weights, which stage `base` trains.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

import torch
from diffusers import UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.models.codec import fit_codec
from training.models.sd15.base import BaseModel
from training.models.shape import num_heads
from training.models.tiny.shape import NUM_GROUPS, TinyShape
from training.noise_schedule import NoiseSchedule

_START, _END, _WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_MAX_TOKENS = 64
_VOCABULARY = 1536


def build_tiny(
    shape: TinyShape, captions: Iterable[str], pictures: Tensor, schedule: NoiseSchedule, seed: int
) -> BaseModel:
    """A tiny base whose UNet and text encoder are untrained.

    Args:
        shape: its sizes.
        captions: captions whose words the tokenizer learns.
        pictures: (N, 3, H, W) in [-1, 1], to which the codec is fitted.
        schedule: the noise it will be trained on.
        seed: seed of the initial weights.
    """
    tokenizer = train_tokenizer(captions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=shape.text_width,
                intermediate_size=4 * shape.text_width,
                projection_dim=shape.text_width,
                num_hidden_layers=3,
                num_attention_heads=num_heads(shape.text_width, most=max(1, shape.text_width // 32)),
                max_position_embeddings=_MAX_TOKENS,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        num_plain, num_attending = shape.plain_levels, len(shape.channels) - shape.plain_levels
        unet = UNet2DConditionModel(
            sample_size=pictures.shape[-1] // shape.patch_px,
            in_channels=shape.latent_channels,
            out_channels=shape.latent_channels,
            block_out_channels=shape.channels,
            down_block_types=("DownBlock2D",) * num_plain + ("CrossAttnDownBlock2D",) * num_attending,
            up_block_types=("CrossAttnUpBlock2D",) * num_attending + ("UpBlock2D",) * num_plain,
            layers_per_block=1,
            cross_attention_dim=shape.text_width,
            # This is the number of heads: diffusers kept the name for old files.
            attention_head_dim=tuple(num_heads(width) for width in shape.channels),
            norm_num_groups=NUM_GROUPS,
        )
        codec = fit_codec(pictures, patch_px=shape.patch_px, latent_channels=shape.latent_channels)
    return BaseModel(
        vae=codec.requires_grad_(False),
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet,
        schedule=schedule,
    )


def train_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """A CLIP tokenizer (byte-pair encoding) for the words of some captions; others are spelt out in pieces.

    Raises:
        ValueError: if there are no captions.
    """
    splitter = CLIPTokenizer().backend_tokenizer
    word_counts: Counter[str] = Counter()
    for caption in sorted(set(captions)):
        normal = splitter.normalizer.normalize_str(caption)
        word_counts.update(word for word, _ in splitter.pre_tokenizer.pre_tokenize_str(normal))
    if not word_counts:
        raise ValueError("no captions to learn words from")
    letters = sorted(ByteLevel.alphabet())
    merges = learn_merges(word_counts, _VOCABULARY - 2 * len(letters) - 2)
    pieces = [*letters, *(letter + _WORD_END for letter in letters), *("".join(pair) for pair in merges), _START, _END]
    return CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))},
        merges=merges,
        model_max_length=_MAX_TOKENS,
    )


def learn_merges(word_counts: Mapping[str, int], most: int) -> list[tuple[str, str]]:
    """Merges of byte-pair encoding (Sennrich et al. 2016), the most frequent pair first.

    `tokenizers` has a faster trainer, but it breaks ties differently from run to run: the same data would give other
    pieces, and a resumed run another model.

    Args:
        word_counts: how often each word occurs.
        most: largest number of merges.
    """
    spellings = {word: (*word[:-1], word[-1] + _WORD_END) for word in word_counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < most:
        counts: Counter[tuple[str, str]] = Counter()
        for word, pieces in spellings.items():
            for pair in pairwise(pieces):
                counts[pair] += word_counts[word]
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        spellings = {word: _merged(pieces, best) for word, pieces in spellings.items()}
    return merges


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)
