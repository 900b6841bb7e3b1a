"""Tables of the entropy coding, learned from the codes of training audio.

Every decision on the way down the tree of a codebook is a logistic regression on its contexts: the logit of a row at a
node is what that row adds to the logarithm of the odds. A row that was seldom seen stays near zero, where the other
contexts and the bias decide.
"""

import logging
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from nac.arrays import Array, Codes, Floats, Integers
from nac.format.entropy.contexts import SCALE_ROWS, Context, Neighbour, contexts_of
from nac.format.entropy.tables import LOGIT_SUM_LIMIT, PROBABILITY_BITS
from nac.models.model import NacModel
from nac.models.quantizer import ResidualCodebooks
from nac.models.streaming import FrameEncoder
from nac.models.voice.pitch_code import END, UNVOICED
from nac.training.data.corpus import Crops

log = logging.getLogger(__name__)
BLOCK = 50
"""Frames of a block, at whose ends contexts are missing."""
BLOCKS = 8
"""Blocks of a crop."""
STEP = 16
"""Logits, as the tables hold them, for a factor e in the odds."""
EARLY = 12
"""Codebooks of 6 kbps, for which there are more crops and larger tables."""
LATE_CROPS = 4
"""One crop out of so many is coded with all codebooks."""
HOLD = 4.0
"""Weight that holds a logit at zero, in decisions of variance 1."""
SWEEPS = 4
SIZE_LEVELS = 4
"""Decisions that tell how large a code is, before those that tell its direction."""
LARGEST = 127


@torch.inference_mode()
def gather_codes(model: NacModel, crops: Crops, hours: float, beam: int) -> list[Codes]:
    """Code random crops, as the encoder does.

    Args:
        model: The model.
        crops: Of `crop_samples` samples.
        hours: How much audio to code.
        beam: Paths of the search.

    Returns:
        Codes `[codebooks, blocks, frames]`: of the early codebooks from `hours` of audio, and of all codebooks from a
        quarter of that.
    """
    total = model.config.codebooks
    early = min(EARLY, total)
    count = max(LATE_CROPS, round(hours * 3600 * model.config.frame_rate / (BLOCK * BLOCKS)))
    parts: list[list[Codes]] = [[], []]
    for number in range(count):
        stages = total if number % LATE_CROPS == 0 else early
        coder = FrameEncoder(model, 1, stages, lambda total, channels, lag: [total], beam, BLOCK)
        found = np.stack([part.codes[0] for part in coder.push(crops.batch(1))], 1)
        parts[0].append(found[:early])
        if stages > early:
            parts[1].append(found)
        if number % 200 == 199:
            log.info("coded %d of %d crops", number + 1, count)
    return [np.concatenate(part, 1) for part in parts if part]


def crop_samples(model: NacModel) -> int:
    """Samples of the crops that `gather_codes` takes."""
    return BLOCK * BLOCKS * model.config.hop


def sort_codebooks(model: NacModel) -> None:
    """Number the codes of a model with voices so that each is its own symbol, but for those of pitch.

    Which codebooks a code belongs to depends on its frame, so that no one order of symbols would do for all of them.
    To be done before anything is coded: files of the model as it was are not files of the sorted one.
    """
    families = [module for module in model.modules() if isinstance(module, ResidualCodebooks)]
    with torch.no_grad():
        for family in families:
            for index, book in enumerate(family.codebooks):
                dim = family.stage(index).shape[1]
                symbols = tree_symbols(book[:, :dim].cpu().numpy(), index > 0, np.ones(len(book)))
                book.copy_(book[torch.from_numpy(symbols).argsort()])


def code_symbols(model: NacModel, codes: list[Codes]) -> Integers:
    """The symbol of each code, `[codebooks, codes]`, from what `gather_codes` gave."""
    stages, size = model.config.codebooks, model.config.codebook_size
    if model.voice is not None:
        return np.concatenate([pitch_symbols(size)[None], np.tile(np.arange(size), (stages - 1, 1))])
    books = model.quantizer.codebooks.numpy()
    return np.stack([tree_symbols(books[index], index > 0, usage(codes, index, size)) for index in range(stages)])


def pitch_symbols(size: int) -> Integers:
    """Symbols of the codes of pitch: in their order, but far from each other what is no voice and what is unvoiced.

    Contexts see the upper bits of symbols alone. With each of the two go half of the codes that are not used.
    """
    half = (END + size) // 2
    order = [0, *range(END, half), *range(UNVOICED + 1, END), *range(half, size), UNVOICED]
    return np.argsort(order)


def fit_tables(symbols: Integers, codes: list[Codes]) -> dict[str, Array]:
    """The arrays of `EntropyTables` for symbols `[codebooks, codes]`, from `gather_codes`."""
    stages, size = symbols.shape
    bits = size.bit_length() - 1
    coded = [np.stack([symbols[index][part[index]] for index in range(len(part))]) for part in codes]
    # The symbols have been "ranks" in files from the first one on.
    arrays: dict[str, Array] = {"ranks": symbols.astype(np.uint16), "probability": probabilities()}
    for index in range(stages):
        part = next(part for part in coded if len(part) > index)
        bias, tables, cost = fit_codebook(part, index, bits)
        arrays[f"{index}.bias"] = bias
        arrays |= {f"{index}.{number}": table for number, table in enumerate(tables)}
        log.info("codebook %d: %.2f of %d bits", index, cost, bits)
    return arrays


def usage(codes: list[Codes], index: int, size: int) -> Floats:
    """How often each code of a codebook was used, plus one."""
    part = next(part for part in codes if len(part) > index)
    return np.bincount(part[index].reshape(-1), minlength=size).astype(np.float64) + 1


def probabilities() -> npt.NDArray[np.uint16]:
    """For each sum of logits, negative ones at the end, the probability of a 1 in 16384ths."""
    sums = np.concatenate([np.arange(LOGIT_SUM_LIMIT), np.arange(-LOGIT_SUM_LIMIT, 0)])
    whole = 1 << PROBABILITY_BITS
    return np.clip(np.round(whole / (1 + np.exp(-sums / STEP))), 4, whole - 4).astype(np.uint16)


def tree_symbols(book: npt.NDArray[np.floating], sizes: bool, weight: Floats) -> Integers:
    """The symbol of each code, its place in a balanced tree: `[codes]`.

    Args:
        book: Codebook `[codes, dimensions]`.
        sizes: Whether the first decisions part small codes from large ones: the size of a residual is what contexts
            predict best. The others part along the direction in which the codes differ most.
        weight: How often each code is used, `[codes]`.
    """
    points: Floats = book.astype(np.float64)

    def split(members: Integers, level: int) -> Integers:
        if len(members) == 1:
            return members
        x = points[members]
        along = np.square(x).sum(1) if sizes and level < SIZE_LEVELS else _main_axis(x, weight[members])
        order = members[np.argsort(along, kind="stable")]
        half = len(order) // 2
        return np.concatenate([split(order[:half], level + 1), split(order[half:], level + 1)])

    symbols = np.empty(len(book), np.int64)
    symbols[split(np.arange(len(book)), 0)] = np.arange(len(book))
    return symbols


def _main_axis(x: Floats, weight: Floats) -> Floats:
    """`x` `[codes, dimensions]` along its first principal component: `[codes]`."""
    x = x - np.average(x, 0, weight)
    covariance = (x * weight[:, None]).T @ x
    axis = covariance[:, int(np.argmax(np.diag(covariance)))].copy()
    for _ in range(30):
        length = np.linalg.norm(axis)
        if length == 0:
            break
        axis = covariance @ (axis / length)
    out: Floats = x @ axis
    return out


def table_shape(codebook: int, number: int, context: Context, bits: int) -> tuple[int, int]:
    """Rows and nodes of a context's table. The frame's own first code alone says something of a code's direction."""
    if codebook == 0:
        upper, levels = ((7, 10), (10, 5), (6, 8), (6, 6))[number]
    elif number == 0:
        upper, levels = (7 if codebook < EARLY else 6 if codebook < 2 * EARLY else 5), 10
    else:
        upper, levels = 6, 6 if isinstance(context, Neighbour) or codebook >= EARLY else 8
    rows = (1 << min(upper, bits)) + 1 if isinstance(context, Neighbour) else SCALE_ROWS
    return rows, 1 << min(levels, bits)


def fit_codebook(symbols: Integers, codebook: int, bits: int) -> tuple[Array, list[Array], float]:
    """Bias and tables of a codebook from symbols `[codebooks, blocks, frames]`, and bits a code takes with them."""
    contexts = contexts_of(codebook)
    shapes = [table_shape(codebook, number, context, bits) for number, context in enumerate(contexts)]
    rows = [context.rows(symbols, shape[0], bits).reshape(-1) for context, shape in zip(contexts, shapes, strict=True)]
    path = symbols[codebook].reshape(-1)
    bias = np.zeros(1 << bits, np.int8)
    tables = [np.zeros(shape, np.int8) for shape in shapes]
    cost = 0.0
    for level in range(bits):
        nodes = 1 << level
        there = path >> (bits - level)
        one = (path >> (bits - 1 - level) & 1).astype(np.float32)
        ones, total = np.bincount(there, one, nodes) + 0.5, np.bincount(there, minlength=nodes) + 1.0
        start = quantized(np.log(ones / (total - ones)))
        bias[nodes : 2 * nodes] = start
        sums = (start / np.float32(STEP))[there]
        active = [number for number, shape in enumerate(shapes) if shape[1] > nodes]
        cells = [rows[number] * nodes + there for number in active]
        fitted = [np.zeros(shapes[number][0] * nodes) for number in active]
        for where, logits in _turns(cells, fitted):
            probability = 1 / (1 + np.exp(-sums))
            gradient = np.bincount(where, one - probability, len(logits)) - HOLD * logits
            curvature = np.bincount(where, probability * (1 - probability), len(logits)) + HOLD
            step = np.clip(gradient / curvature, -1.5, 1.5)  # of Newton's method
            logits += step
            sums += step.astype(np.float32)[where]
        sums = start[there] / STEP
        for number, where, logits in zip(active, cells, fitted, strict=True):
            table = quantized(logits)
            tables[number][:, nodes : 2 * nodes] = table.reshape(-1, nodes)
            sums += table[where] / STEP
        cost += float(np.logaddexp(0, np.where(one > 0, -sums, sums)).mean() / np.log(2))
    return bias, list(tables), cost


def _turns(cells: list[Integers], fitted: list[Floats]) -> Iterator[tuple[Integers, Floats]]:
    for _ in range(SWEEPS):
        yield from zip(cells, fitted, strict=True)


def quantized(logits: Floats) -> npt.NDArray[np.int8]:
    """Logits as the integers that the tables hold."""
    return np.clip(np.round(logits * STEP), -LARGEST, LARGEST).astype(np.int8)
