"""A trained model with more blocks: the new ones do nothing yet, so that it starts where the smaller one ended."""

import dataclasses

from nac.errors import OptionError
from nac.models.config import ModelConfig
from nac.models.model import NacModel


def grow(model: NacModel, shape: ModelConfig) -> NacModel:
    """`model` in another shape: as many or more blocks at the frame rate, in encoder, decoder or both, all else alike.

    The new blocks follow the old ones and start as the identity, so that codes and sound are the same as before.

    Raises:
        OptionError: the shape differs in anything else, or has fewer blocks.
    """
    old = model.config
    blocks = {"encoder_blocks": old.encoder_blocks, "decoder_blocks": old.decoder_blocks}
    if (
        dataclasses.replace(shape, **blocks) != old  # type: ignore[arg-type]
        or shape.encoder_blocks < old.encoder_blocks
        or shape.decoder_blocks < old.decoder_blocks
    ):
        raise OptionError(
            "a trained model can only grow: encoder_blocks and decoder_blocks may be larger than "
            f"{old.encoder_blocks} and {old.decoder_blocks}, nothing else may change"
        )
    grown = NacModel(shape)
    grown.load_state_dict({**grown.state_dict(), **model.state_dict()})
    return grown.train(model.training)
