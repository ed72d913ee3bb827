"""What `pipelines.synth` makes is what training reads."""

from itertools import islice
from pathlib import Path

import numpy as np
import torch

from training.data.dataset import read_card, read_manifests
from training.data.sequence import read_sequences
from training.data.stream import DataMixture, SequenceStream


def test_training_reads_every_painted_sequence_as_it_was_stored(dataset: Path) -> None:
    stored = {
        f"{dataset.name}/{sequence.key}": sequence
        for manifest in read_manifests(dataset, read_card(dataset).shards)
        if manifest.split == "train"
        for sequence in read_sequences(dataset, manifest)
    }
    stream = SequenceStream.open([DataMixture(path=str(dataset))], size_px=(64, 64))
    with stream.batches(seed=0, batch_size=1, num_workers=1) as batches:
        epoch = list(islice(batches, len(stream)))
    assert sorted(batch.keys[0] for batch in epoch) == sorted(stored)
    for batch in epoch:
        sequence = stored[batch.keys[0]]
        frames = torch.from_numpy(sequence.frames().astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        assert batch.frames is not None and batch.captions == (sequence.caption,) and "painted" in sequence.caption
        torch.testing.assert_close(batch.frames[0], frames, atol=1e-6, rtol=0)
