"""A page that shows how a run is doing: curves, and a few clips with their decodes, to see and to hear."""

import logging
from pathlib import Path

import numpy as np
import soundfile
import torch

from nac.evaluation.report.plots import clean_axes, new_figure, save, spectrogram_db
from nac.evaluation.report.render import render
from nac.models.model import NacModel
from nac.training.plots import plot_run

log = logging.getLogger(__name__)
FOLDER = "page"
#: Numbers of codebooks that the clips are coded with.
N_CODEBOOKS = (6, 12)


def write_page(folder: Path, model: NacModel, clips: np.ndarray, step: int) -> None:
    """Write `folder/page/index.html` with what it shows: `clips` `[clips, samples]` and their decodes by `model`.

    A run does not fail for its page: without matplotlib or jinja2, or where it cannot be written, the log says so.
    """
    try:
        target = folder / FOLDER
        target.mkdir(exist_ok=True)
        shown = []
        for number, clip in enumerate(clips):
            versions = {
                "original": clip,
                **{f"{count / 2:g} kbps": decode(model, clip, count) for count in N_CODEBOOKS},
            }
            files = {name: f"{number}-{name.replace(' ', '')}.wav" for name in versions}
            for name, samples in versions.items():
                soundfile.write(target / files[name], samples, model.config.sample_rate, subtype="PCM_16")
            _spectrograms(versions, model.config.sample_rate, target / f"{number}.png")
            shown.append({"versions": files, "picture": f"{number}.png"})
        plot_run([folder], target / "curves.png")
        page = render(Path(__file__).parent / "templates" / "run.html", name=folder.name, step=step, clips=shown)
        (target / "index.html").write_text(page, encoding="utf-8")
    except Exception as error:  # whatever is wrong with a picture, the training it shows is worth more
        log.warning("no page of the run: %s: %s", type(error).__name__, (str(error).splitlines() or [""])[0])


@torch.inference_mode()
def decode(model: NacModel, clip: np.ndarray, codebooks: int) -> np.ndarray:
    """Code and decode `[samples]` with so many codebooks, greedy search."""
    hop = model.config.hop
    frames = -(-len(clip) // hop) + 1
    latent = model.analyse(torch.from_numpy(np.pad(clip, (0, frames * hop - len(clip))))[None])
    codes = model.quantizer.encode(latent[0], codebooks)
    levels = torch.full((1, frames), codebooks)
    out = model.synthesise(model.quantizer.decode(codes.T[None]), levels)[0]
    return np.asarray(out[hop : hop + len(clip)].numpy(), np.float32)


def _spectrograms(versions: dict[str, np.ndarray], sample_rate: int, target: Path) -> None:
    figure = new_figure(4.5 * len(versions), 3)
    for index, (name, samples) in enumerate(versions.items()):
        axes = figure.add_subplot(1, len(versions), index + 1)
        picture = spectrogram_db(samples, 256).T
        axes.imshow(
            picture,
            origin="lower",
            aspect="auto",
            vmin=-100,
            vmax=-10,
            cmap="magma",
            extent=(0, len(samples) / sample_rate, 0, sample_rate / 2000),
        )
        axes.set_title(name)
        axes.set_xlabel("seconds")
        clean_axes(axes)
        axes.grid(False)
    figure.axes[0].set_ylabel("kHz")
    figure.tight_layout()
    save(figure, target)
