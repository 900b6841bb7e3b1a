"""The search of a single frame finds what the search of many does."""

import pytest
import torch

from nac.models.quantizer import SearchCodebook, beam_search
from nac.models.voice.frame_search import search_frame


@pytest.mark.parametrize("size", [64, 100, 256])
@pytest.mark.parametrize("beam", [1, 3, 10, 64])
@pytest.mark.parametrize("commit_points", [(), (1,), (2, 3)])
def test_codes_are_those_of_the_beam_search(size: int, beam: int, commit_points: tuple[int, ...]) -> None:
    torch.manual_seed(size + beam)
    codebooks = [SearchCodebook.from_vectors(torch.randn(size, 12) * 0.6**index) for index in range(4)]
    for residual in torch.randn(20, 12):
        codes, left = search_frame(residual, codebooks, beam, commit_points)
        expected, power = beam_search(residual[None], codebooks, beam, commit_points)
        assert codes == expected[0].tolist()
        assert float(left.square().sum()) == pytest.approx(float(power), rel=1e-3, abs=1e-5)
        again = residual - sum(book.vectors[code] for book, code in zip(codebooks, codes, strict=True))
        assert torch.allclose(left, again, atol=1e-5)
