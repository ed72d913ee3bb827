"""A small data set and a small Stable Diffusion for all tests of training."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from tests.pipelines.small_dataset import small_dataset
from tests.training.assembled import Folders, assemble
from tests.training.models.small_base import small_base
from tests.training.stages.parents import train, untrained_parents


@pytest.fixture(scope="session")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 sequences to train on, 6 to validate with; 8 frames of 16 px."""
    captions = [f"picture {number}" for number in range(18)]
    return small_dataset(tmp_path_factory.mktemp("data") / "pictures", captions=captions, size_px=(16, 16))


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as diffusers' own pipeline writes it: the architecture of Stable Diffusion 1.5, small and untrained."""
    folder = tmp_path_factory.mktemp("sd15")
    tiny = small_base()
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=2,
        norm_num_groups=16,
        cross_attention_dim=16,
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        latent_channels=4,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=tiny.text_encoder,
        tokenizer=tiny.tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """An untrained base, and runs of all stages that are trained on it. Do not change them."""
    root = tmp_path_factory.mktemp("runs")
    data = small_dataset(root / "data", captions=[f"picture {n}" for n in range(9)], size_px=(32, 32))
    folders = {"base": untrained_parents(root)["base"]}
    folders["motion"] = train("motion", data, folders, root / "run_motion", max_steps=2)
    folders["replication"] = train("replication", data, folders, root / "run_replication", max_steps=2)
    parents = {key: folders[key] for key in ("base", "motion")}
    folders["spatial"] = train("spatial_lora", data, parents, root / "spatial", max_steps=2)
    folders["way"] = train("motion_lora", data, parents, root / "way", max_steps=2, spatial_lora=folders["spatial"])
    return folders


@pytest.fixture(scope="session")
def painter(runs: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painter with all parts. Do not change it."""
    out = tmp_path_factory.mktemp("painters") / "painter"
    return assemble(runs, out, loras=f"[{runs['spatial']},{runs['way']}]")
