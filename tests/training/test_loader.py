"""Batches depend on seed and number alone, not on who makes them or when."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from nac.training.data.corpus import Corpus, load_corpus
from nac.training.data.loader import batches
from nac.training.trainer import Budget, Trainer
from tests.conftest import small_model
from tests.training.test_training import CONFIG, crops, trainer


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_the_same_batches(workers: int) -> None:
    alone = list(islice(batches(crops(5), 2, first=3), 6))
    assert all(torch.equal(a, b) for a, b in zip(alone, islice(batches(crops(5), 2, 3, workers), 6), strict=True))
    assert not torch.equal(alone[0], alone[1])
    assert not torch.equal(alone[0], next(batches(crops(6), 2, first=3)))


def test_batches_go_on_from_any_number() -> None:
    whole = list(islice(batches(crops(), 2, first=0), 5))
    assert torch.equal(whole[4], next(batches(crops(), 2, first=4)))


def test_batches_leave_other_random_numbers_alone() -> None:
    torch.manual_seed(3)
    first = torch.rand(4)
    torch.manual_seed(3)
    next(batches(crops(), 2, first=0, workers=1))
    assert torch.equal(first, torch.rand(4))


def test_a_run_with_workers_is_the_run_without(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    runs = trainer(tmp_path), Trainer(small_model(codebooks=12), CONFIG, crops(), tmp_path / "b", workers=2)
    for run in runs:
        run.run(Budget(steps=3), progress=False)
    a, b = (run.model.state_dict() for run in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_files_read_side_by_side_keep_their_order_and_names(tmp_path: Path) -> None:
    for index in range(40):
        folder = tmp_path / "speech" / f"source{index % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{index:02d}.wav", np.full(100 + index, index / 64, np.float32), 24_000)
    (tmp_path / "speech" / "source1" / "05.flac").write_bytes(b"fLaC, but not really")
    found: Corpus = load_corpus(tmp_path, 24_000)
    assert found.skipped == [str(tmp_path / "speech" / "source1" / "05.flac")]
    for source in range(3):
        lengths = [len(clip) for clip in found.clips["speech"][f"source{source}"]]
        assert lengths == [100 + index for index in range(40) if index % 3 == source]
