"""`pipelines.publish` uploads all that others load and nothing else. The real code of huggingface_hub runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from conf.command import command
from pipelines.hub.contents import dataset_contents, painter_contents, run_contents
from pipelines.hub.dataset_page import SHEET
from pipelines.painters import painter_folder
from pipelines.publish import publish_config, run
from tests.pipelines.hub.fake_hub import TOKEN, FakeHub, fake_hub
from tests.pipelines.hub.loading import assert_rows_are_sequences, loaded, stored
from tests.pipelines.runs import PAINT_FAST, save_picture, synth
from tests.pipelines.small_dataset import small_dataset
from tests.pipelines.verify.forgery import forge, repaint, resum
from tests.training import toy_runs
from training.data.claim import sole_writer
from training.data.dataset import read_card
from training.data.manifest import to_json
from training.data.own_page import README, is_as_made
from training.data.seal import sealed, sealed_fields
from training.models.painter_folder import check_painter
from training.models.weights import RUN_CARD, WEIGHTS_HASH, sound_hash, weights_hash

TINY = painter_folder(Path("tiny"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub to which this process is logged in, and which takes large files by Git LFS."""
    monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: False)
    with fake_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture(scope="module")
def ended_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, with its checkpoints. Do not change it."""
    root = tmp_path_factory.mktemp("run")
    data = small_dataset(root / "data", captions=[f"picture {number}" for number in range(9)])
    toy_runs.train(data, root / "out")
    return root / "out"


def one_painting(folder: Path, *overrides: str) -> Path:
    """A data set of one picture."""
    save_picture(folder / "a.png", 0)
    words = (
        *PAINT_FAST,
        "cluster=inline",
        "source=folder",
        f"source.path={folder / 'a.png'}",
        f"out={folder / 'data'}",
    )
    assert synth(*words, *overrides) == 0
    return folder / "data"


def publish(*overrides: object) -> int:
    """Run the command in this process; returns the exit code."""
    return command("publish", publish_config, run, "A test.", [str(word) for word in overrides])


def test_a_data_set_comes_back_from_the_hub_as_it_was(dataset: Path, hub: FakeHub, tmp_path: Path) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    (out / "shards" / ".train-00000-of-00003.tar.tmp").write_bytes(b"half")
    assert publish(f"dataset={out}", "repo=me/scenes") == 0
    repository = hub.repositories["datasets/me/scenes"]
    described = {"dataset.json", "samples.parquet", README, SHEET}
    assert {name for name in repository.files if not name.startswith("shards/")} == described
    assert repository.private and len(repository.messages) == 1
    assert all((dataset / name).read_bytes() == data for name, data in repository.files.items())
    there = repository.write(tmp_path / "downloaded")
    assert_rows_are_sequences(loaded(there, tmp_path / "cache"), stored(dataset))


def test_a_painter_comes_back_whole(hub: FakeHub, tmp_path: Path) -> None:
    assert publish("painter=tiny", "repo=me/tiny", "private=false") == 0
    repository = hub.repositories["models/me/tiny"]
    assert not repository.private
    assert check_painter(repository.write(tmp_path / "painter")) == check_painter(TINY)
    assert (tmp_path / "painter" / README).read_bytes() == (TINY / README).read_bytes()


def test_of_a_run_its_weights_go_and_no_checkpoint(ended_run: Path, hub: FakeHub, tmp_path: Path) -> None:
    assert (ended_run / "checkpoints").is_dir()
    assert publish(f"run={ended_run}", "repo=me/run") == 0
    repository = hub.repositories["models/me/run"]
    weights = {path.relative_to(ended_run / "weights").as_posix() for path in (ended_run / "weights").rglob("*")}
    assert repository.files.keys() == weights | {README}
    there = repository.write(tmp_path / "weights")
    (there / ".gitattributes").write_text("*.safetensors filter=lfs\n")  # as the Hub adds
    assert sound_hash("base", there) == sound_hash("base", ended_run / "weights")


def test_an_upload_that_was_cut_off_goes_on(dataset: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.most_sent = 2
    assert publish(f"dataset={dataset}", "repo=me/scenes") == 2
    assert "no more today" in capsys.readouterr().err
    assert not hub.repositories["datasets/me/scenes"].files
    hub.most_sent = 1000
    assert publish(f"dataset={dataset}", "repo=me/scenes") == 0
    assert len(hub.sent) == len(set(hub.sent)) == len(hub.stored)


def test_a_dry_run_tells_names_and_sizes_and_asks_nobody(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert publish(f"dataset={dataset}", "repo=me/scenes", "dry_run=true") == 0
    told = capsys.readouterr().out
    size = (dataset / "samples.parquet").stat().st_size
    assert "to dataset me/scenes, private; CC0-1.0" in told and f"{size / 1e3:,.1f} kB  samples.parquet" in told
    assert "timings" not in told


def test_a_hidden_or_half_written_file_among_weights_goes_nowhere(
    ended_run: Path, hub: FakeHub, tmp_path: Path
) -> None:
    out = shutil.copytree(ended_run, tmp_path / "out")
    weights = out / "weights"
    for name in (".env", ".x.tmp", ".git/config", f"sub/{RUN_CARD}"):
        (weights / name).parent.mkdir(exist_ok=True)
        (weights / name).write_text("a secret")
    assert publish(f"run={out}", "repo=me/run") == 0
    repository = hub.repositories["models/me/run"]
    whole = {path.relative_to(ended_run / "weights").as_posix() for path in (ended_run / "weights").rglob("*")}
    assert repository.files.keys() == whole | {README}
    assert weights_hash(repository.write(tmp_path / "there")) == weights_hash(weights)


def test_of_a_run_whose_card_states_no_hash_no_hidden_file_goes(ended_run: Path, tmp_path: Path) -> None:
    weights = shutil.copytree(ended_run / "weights", tmp_path / "weights")
    card = sealed_fields((weights / RUN_CARD).read_bytes())
    del card[WEIGHTS_HASH]
    (weights / RUN_CARD).write_bytes(sealed(to_json(card)))
    before = run_contents(weights).files.keys()
    (weights / "sub").mkdir()
    (weights / "sub" / ".env").write_text("a secret")
    assert run_contents(weights).files.keys() == before


def test_of_painters_and_data_sets_only_what_is_listed_goes(dataset: Path, tmp_path: Path) -> None:
    for made, source in ((painter_contents, TINY), (dataset_contents, dataset)):
        whole = made(source).files.keys()
        copy = shutil.copytree(source, tmp_path / made.__name__)
        for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
            (folder / ".env").write_text("a secret")
            (folder / ".x.tmp").write_text("half")
        assert made(copy).files.keys() == whole


def test_a_single_file_of_weights_is_refused(ended_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = next((ended_run / "weights").glob("*.safetensors"))
    assert publish(f"run={file}", "repo=me/run", "dry_run=true") == 2
    assert f"error: run={file}: a file; give the folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["dataset", "painter", "run"])
def test_publish_writes_nothing_into_the_folder_and_makes_the_pages_that_lack(
    dataset: Path, ended_run: Path, hub: FakeHub, tmp_path: Path, kind: str
) -> None:
    source = {"dataset": dataset, "painter": TINY, "run": ended_run}[kind]
    folder = shutil.copytree(source, tmp_path / "folder")
    for name in (README, SHEET):
        (folder / name).unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    for dry_run in ("true", "false"):
        assert publish(f"{kind}={folder}", "repo=me/x", f"dry_run={dry_run}") == 0
        assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before
    (repository,) = hub.repositories.values()
    assert README in repository.files
    if kind == "dataset":
        assert all(repository.files[name] == (dataset / name).read_bytes() for name in (README, SHEET))
    elif kind == "painter":
        assert is_as_made(repository.files[README]) and b"# A painter" in repository.files[README]


@pytest.mark.parametrize("licence", ["", "CC BY-NC 4.0", "all rights reserved"])
def test_what_is_not_free_is_refused_unless_the_user_says_otherwise(
    licence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = one_painting(tmp_path, *([f"source.licence={licence}"] if licence else []))
    overrides = [f"dataset={root}", "repo=me/data", "dry_run=true"]
    assert publish(*overrides) == 2
    assert f"licences: {licence or 'unknown'}: unknown, or not free" in capsys.readouterr().err
    assert publish(*overrides, "licences=any") == 0


def test_a_painter_of_unknown_licence_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hurt = shutil.copytree(TINY, tmp_path / "painter")
    card = sealed_fields((hurt / "painter.json").read_bytes())
    card["parts"]["base"]["licences"] = {"weights": "creativeml-openrail-m"}
    (hurt / "painter.json").write_bytes(sealed(to_json(card)))
    assert publish(f"painter={hurt}", "repo=me/painter", "dry_run=true") == 2
    assert "creativeml-openrail-m: unknown, or not free" in capsys.readouterr().err


@pytest.mark.parametrize("pattern", ["dataset.json", "samples.parquet", "shards/*.json", "shards/*.tar"])
def test_a_bit_flipped_anywhere_is_named_and_goes_nowhere(
    dataset: Path, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str
) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    path = sorted(out.glob(pattern))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for dry_run in ("true", "false"):
        assert publish(f"dataset={out}", "repo=me/x", f"dry_run={dry_run}") == 2
        assert path.stem in capsys.readouterr().err.strip().splitlines()[-1]
    assert not hub.repositories


def test_a_data_set_that_lost_its_table_is_refused(
    dataset: Path, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    (out / "samples.parquet").unlink()
    assert publish(f"dataset={out}", "repo=me/x") == 2
    assert f"{out / 'samples.parquet'}: missing" in capsys.readouterr().err
    assert not hub.repositories


def test_a_data_set_without_sequences_is_refused_saying_so(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.png").write_bytes(b"torn")
    words = (*PAINT_FAST, "cluster=inline", "source=folder", f"source.path={tmp_path / 'torn.png'}")
    assert synth(*words, "max_quarantined=1", f"out={tmp_path / 'data'}") == 3
    assert publish(f"dataset={tmp_path / 'data'}", "repo=me/x") == 2
    assert "it holds no sequences" in capsys.readouterr().err
    assert not hub.repositories


def test_what_verify_calls_faulty_is_not_published(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = one_painting(tmp_path, "source.licence=CC0-1.0", "shard_size=1", "val_fraction=0")
    assert publish(f"dataset={data}", "repo=me/x", "dry_run=true") == 0
    forge(data, repaint(lambda frames: [frames[0] ^ 1, *frames[1:]]), name=read_card(data).shards[0])
    assert publish(f"dataset={data}", "repo=me/x", "dry_run=true") == 2
    assert "the first frame is not the blank canvas" in capsys.readouterr().err
    recipe = {**read_card(data).recipe, "seed": 9}
    resum(data, recipe=recipe)
    assert publish(f"dataset={data}", "repo=me/x", "dry_run=true") == 2
    assert "its recipe is not the one that its config_hash is of" in capsys.readouterr().err


@pytest.mark.parametrize("name", [README, SHEET])
def test_a_page_that_is_no_file_is_named(
    dataset: Path, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    (out / name).unlink()
    (out / name).mkdir()
    assert publish(f"dataset={out}", "repo=me/x") == 2
    assert f"{out / name}: Is a directory" in capsys.readouterr().err
    assert not hub.repositories


def test_what_is_not_whole_or_not_said_is_refused_in_one_line(
    dataset: Path, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = shutil.copytree(dataset, tmp_path / "part")
    tar = next(part.glob("shards/*.tar"))
    tar.write_bytes(tar.read_bytes()[:-512] + bytes([1]) * 512)
    busy = shutil.copytree(dataset, tmp_path / "busy")
    (tmp_path / "empty").mkdir()
    refusals = {
        (f"dataset={part}",): "not complete and sound",
        (f"dataset={tmp_path / 'none'}",): "no such folder",
        (f"painter={tmp_path / 'empty'}",): "not a painter",
        (f"run={tmp_path / 'empty'}",): f"no {RUN_CARD}",
        (): "exactly one of dataset=DIR, painter=DIR and run=DIR",
        ("painter=tiny", f"dataset={dataset}"): "exactly one of",
        ("painter=tiny", "repo=tiny"): "repo=tiny: not allowed; allowed: USER/NAME",
        ("painter=tiny", "repo=me/a b"): "USER/NAME",
    }
    with sole_writer(busy):
        assert publish(f"dataset={busy}", "repo=me/x") == 2
    assert "a run is writing it" in capsys.readouterr().err
    for words, reason in refusals.items():
        assert publish("repo=me/x", *words) == 2, words
        message = capsys.readouterr().err.strip()
        assert reason in message.splitlines()[-1] and message.splitlines()[-1].startswith("error: "), message
    assert not hub.repositories


def test_the_token_comes_from_the_environment_alone_and_is_never_shown(
    dataset: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_secret")
    assert publish(f"dataset={dataset}", "repo=me/scenes") == 2
    message = capsys.readouterr().err
    assert "the Hub refuses: Invalid token" in message and "hf_wrong" not in message
    monkeypatch.delenv("HF_TOKEN")
    assert publish(f"dataset={dataset}", "repo=me/scenes") == 2
    assert "HF_TOKEN is needed in the environment" in capsys.readouterr().err


def test_what_was_to_be_private_never_goes_where_everybody_sees_it(
    dataset: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(f"dataset={dataset}", "repo=me/scenes", "private=false") == 0
    hub.repositories["datasets/me/scenes"].files.clear()
    assert publish(f"dataset={dataset}", "repo=me/scenes") == 2
    assert "there already, for everybody to see" in capsys.readouterr().err
    assert not hub.repositories["datasets/me/scenes"].files


def test_a_hub_that_cannot_be_reached_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert publish("painter=tiny", "repo=me/tiny") == 2
    error = capsys.readouterr().err
    assert "repo=me/tiny: not uploaded ([Errno 111] Connection refused); the same command goes on" in error
