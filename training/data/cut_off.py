"""Text that is not read because it is longer than a base's tokenizer allows: found, and warned of."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from conf.progress import tell
from training.data.batch import Tokenise

if TYPE_CHECKING:
    from training.data.split import StoredSplit

_NUM_CAPTIONS = 1000  # of a data set that are looked at, in about a second
_MOST_LETTERS = 40  # of an end that are shown


def cut_ends(tokenise: Tokenise, texts: Iterable[str]) -> dict[str, str]:
    """The ends of texts that are not read: what can be taken away without changing their token ids.

    Args:
        tokenise: the base's tokeniser.
        texts: prompts or captions.

    Returns:
        Text -> its end; only of texts that are cut off.
    """
    return {text: _end(tokenise, text) for text in cut_off(tokenise, texts)}


def cut_off(tokenise: Tokenise, texts: Iterable[str]) -> list[str]:
    """The texts that are longer than is read, each once.

    Their token ids stay the same when a word is added, and when their last letter is taken away. So this holds for
    every tokenizer, whatever its limit is counted in.

    Args:
        tokenise: the base's tokeniser.
        texts: prompts or captions.
    """
    each_once = [text for text in dict.fromkeys(texts) if text.strip()]
    if not each_once:
        return []
    token_ids = tokenise(each_once)
    longer, shorter = ([f"{text} x" for text in each_once], [text.rstrip()[:-1] for text in each_once])
    is_cut = ((token_ids == tokenise(longer)) & (token_ids == tokenise(shorter))).all(1).tolist()
    return [text for text, cut in zip(each_once, is_cut, strict=True) if cut]


def _end(tokenise: Tokenise, text: str) -> str:
    token_ids = tokenise([text])
    num_read = bisect_left(
        range(len(text)), True, key=lambda num_letters: bool((tokenise([text[:num_letters]]) == token_ids).all())
    )
    return text[num_read:]


def shown(end: str) -> str:
    """The last letters of an end, in quotes."""
    return f"'{end}'" if len(end) <= _MOST_LETTERS else f"'...{end[3 - _MOST_LETTERS :]}'"


def warn_of_cut_prompts(tokenise: Tokenise, **prompts: Sequence[str]) -> dict[str, str]:
    """Say which prompts are longer than is read, in one line for each key.

    Args:
        tokenise: the base's tokeniser.
        prompts: by the key that they were given with.

    Returns:
        What is not read, as `cut_ends`.
    """
    ends = cut_ends(tokenise, chain.from_iterable(prompts.values()))
    for key, texts in prompts.items():
        cut = [text for text in dict.fromkeys(texts) if text in ends]
        if cut:
            num_read, others = len(cut[0]) - len(ends[cut[0]]), f" ({len(cut)} prompts are so long)" * (len(cut) > 1)
            tell(
                f"warning: {key}: only its first {num_read} of {len(cut[0])} letters are read; left out: "
                f"{shown(ends[cut[0]])}{others}"
            )
    return ends


def warn_of_cut_captions(tokenise: Tokenise, splits: "Iterable[StoredSplit]") -> None:
    """Say how many captions are longer than is read, among the first of each data set.

    Raises:
        UserError: if a manifest cannot be read.
    """
    for split in splits:
        num_shards = int(split.shard[:_NUM_CAPTIONS][-1]) + 1
        records = islice(split.records(split.shards[:num_shards]), _NUM_CAPTIONS)
        captions = [str(record["caption"] or "") for record in records]
        cut = cut_off(tokenise, captions)
        if cut:
            num_cut = sum(caption in set(cut) for caption in captions)
            tell(
                f"warning: {split.name}: {num_cut} of the first {len(captions)} captions are longer than is read; "
                f"left out of one: {shown(_end(tokenise, cut[0]))}"
            )
