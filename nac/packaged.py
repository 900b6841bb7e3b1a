"""Where the weights are that came with the package."""

from pathlib import Path

from nac.errors import WeightsError

NAME = "nac-24k.safetensors"


def default_weights() -> Path:
    """Path of the packaged weights: inside the installed package, or beside it in a checkout.

    Raises:
        WeightsError: there are none.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "weights", here.parent / "weights"):
        if (folder / NAME).is_file():
            return folder / NAME
    raise WeightsError(f"the weights {NAME} are not installed; install nac again, or give a file with --model")
