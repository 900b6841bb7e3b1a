"""What several tests begin with, made once."""

from pathlib import Path

import pytest

from nac.training.voice.coding import CodedRecordings
from tests.training.voice.made import fitted


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CodedRecordings]:
    """A folder with recordings, parts that are fitted on them, and codes; and these codes. Not to be changed."""
    folder = tmp_path_factory.mktemp("start")
    return folder, fitted(folder)
