"""A training run of the voice model: its stages one after another, in a folder that can be resumed.

    config.json             settings of the run
    data/, general/         prepared recordings: of voices, and of other sounds
    voice.safetensors       the parts of the model so far
    codes/                  codes of the recordings
    mode.safetensors        the classifier of voice and other sound
    checkpoint.safetensors  the game as it stands
    metrics.csv             terms of the game's loss
    model.safetensors       the weights file: the voice model beside a general one

A stage is done anew when what it wrote is removed.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from nac.errors import OptionError
from nac.files import replacing
from nac.models.config import VoiceConfig
from nac.models.voice.decoder import VoiceDecoder
from nac.training.budget import Budget
from nac.training.memory import keep_freed_memory
from nac.training.precision import bfloat16_pays
from nac.training.voice import parts
from nac.training.voice.checkpoint import CHECKPOINT
from nac.training.voice.coding import CodedRecordings, encode
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.control import train_control
from nac.training.voice.fit import fit
from nac.training.voice.game import Game
from nac.training.voice.mode import train_mode
from nac.training.voice.prepare import prepare
from nac.training.voice.recordings import Recordings

log = logging.getLogger(__name__)
STAGES = ("prepare", "fit", "control", "mode", "game")
DATA, GENERAL, CODES, MODE = "data", "general", "codes", "mode.safetensors"


@dataclass(frozen=True)
class VoiceRun:
    """What a run is made of.

    Attributes:
        audio: folder of recordings of voices.
        out: folder of the run.
        general: folder of recordings of other sounds, for the classifier; None: there will be none.
        config: settings.
        shape: of the voice model.
        codebook_size: vectors in each codebook.
        processes: how many prepare and code.
        save_minutes: between checkpoints.
    """

    audio: Path
    out: Path
    general: Path | None
    config: VoiceTrainingConfig
    shape: VoiceConfig
    codebook_size: int = 1024
    processes: int = 1
    save_minutes: float = 5.0

    def run(self, stage: str, budget: Budget, resume: bool = False) -> None:
        """Do a stage, or "all" that are not done yet.

        Args:
            stage: one of `STAGES`, which needs those before it, or "all".
            budget: of the game; the other stages are as long as the config says. While networks learn, a signal to it
                ends the run at the next step.
            resume: go on with what the folder holds; stages that are done are not done again.

        Raises:
            OptionError: the folder holds a run already, or lacks a stage before.
        """
        if stage == "mode" and self.general is None:
            raise OptionError("the stage mode needs recordings of other sounds; give a folder with --general")
        wanted = [name for name in STAGES if stage in ("all", name) and (name != "mode" or self.general is not None)]
        done = self._done()
        again = [name for name in wanted if name in done]
        if again and not resume:
            raise OptionError(f"{self.out} holds a run already; give --resume to go on with it, or another --out")
        keep_freed_memory()
        bfloat16 = bfloat16_pays() if self.config.bfloat16 is None else self.config.bfloat16
        log.info("networks compute in %s", "bfloat16" if bfloat16 else "float32")
        self.out.mkdir(parents=True, exist_ok=True)
        with replacing(self.out / "config.json") as temporary:
            temporary.write_text(self.config.to_json())
        for name in wanted:
            if name == "prepare":
                self._prepare()
            elif name == "game":
                self._game(bfloat16, budget)
            elif name in done:
                continue
            elif name == "fit":
                self._fit()
            elif name == "control":
                self._control(bfloat16, budget)
            else:
                self._mode(budget)
            if budget.stop:
                return

    def _done(self) -> set[str]:
        """The stages that are done, but for the preparation, which finds out what is left to do."""
        done = set(parts.stages_of(self.out / parts.FILE))
        if (self.out / CHECKPOINT).exists():
            done.add("game")
        if (self.out / MODE).exists():
            done.add("mode")
        return done

    def _prepare(self) -> None:
        recordings = prepare(self.audio, self.out / DATA, self.processes)
        log.info("%.2f hours of voices", recordings.hops / 50 / 3600)
        if self.general is not None:
            others = prepare(self.general, self.out / GENERAL, self.processes)
            log.info("%.2f hours of other sounds", others.hops / 50 / 3600)

    def _fit(self) -> None:
        decoder = VoiceDecoder(self.shape, self.codebook_size).eval()
        fit(decoder, Recordings(self.out / DATA), self.config)
        # Codes of other codebooks, left over from where parts were removed, mean nothing now.
        shutil.rmtree(self.out / CODES, ignore_errors=True)
        parts.save_parts(decoder, self.out / parts.FILE, ("fit",))

    def _coded(self) -> CodedRecordings:
        recordings = Recordings(self.out / DATA)
        return encode(recordings, self.out / parts.FILE, self.out / CODES, self.config, self.processes)

    def _control(self, bfloat16: bool, budget: Budget) -> None:
        if "fit" not in self._done():
            raise OptionError(f"{self.out} has no fitted quantizers; run the stage fit first")
        coded = self._coded()
        decoder = parts.load_parts(self.out / parts.FILE)
        with budget.listening():
            train_control(decoder, coded, self.config, bfloat16, budget)
        if not budget.stop:
            parts.save_parts(decoder, self.out / parts.FILE, ("fit", "control"))

    def _mode(self, budget: Budget) -> None:
        voices, others = Recordings(self.out / DATA), Recordings(self.out / GENERAL)
        with budget.listening():
            classifier = train_mode(voices, others, self.config, budget)
        if budget.stop:
            return
        with replacing(self.out / MODE) as temporary:
            save_file({name: value.contiguous() for name, value in classifier.state_dict().items()}, temporary)

    def _game(self, bfloat16: bool, budget: Budget) -> None:
        if "control" not in self._done():
            raise OptionError(f"{self.out} has no trained control network; run the stages fit and control first")
        coded = self._coded()
        decoder = parts.load_parts(self.out / parts.FILE)
        game = Game(decoder, coded, self.config, self.out, bfloat16)
        if (self.out / CHECKPOINT).exists():
            game.restore()
        with budget.listening():
            game.run(budget, self.save_minutes)
        game.average.apply()
        parts.save_parts(decoder, self.out / parts.FILE, ("fit", "control", "game"))
        log.info("%d steps, %.2f hours of sound in all; parts in %s", game.step, game.passed, self.out / parts.FILE)
