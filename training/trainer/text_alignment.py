"""Stage 1's other half: the motion embedding of a clip agrees with the sentence that names it."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from training.trainer.text_encoder import TextEncoder

_FIRST_TEMPERATURE = 0.07
_LARGEST_SCALE = math.log(100.0)


class Aligner(nn.Module):
    """Contrastive loss between motions and the sentences of a mocap.

    Args:
        text: Turns sentences into embeddings.
        sentences: Mocap.texts, which the labels count.

    Source:
        Motion aligned with text by a modified contrastive loss: LangPose. How it is modified is not
        known; several positives a sentence, and the learned temperature of CLIP (Radford et al.
        2021): ours.
    """

    def __init__(self, text: TextEncoder, sentences: Sequence[str]) -> None:
        super().__init__()
        self.text = text
        self.sentences = tuple(sentences)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(_FIRST_TEMPERATURE)))

    def forward(
        self, motion: Float[Tensor, "clip embedding"], label: Int[Tensor, " clip"]
    ) -> Float[Tensor, ""]:
        """Loss of one batch; clips labelled -1 do not count.

        Args:
            motion: Motion embeddings, of any length.
            label: Index of every clip's sentence.
        """
        known = label >= 0
        if not known.any():
            return motion.new_zeros(())
        named, place = label[known].unique(return_inverse=True)
        text = self.text([self.sentences[index] for index in named.tolist()])
        scale = self.log_scale.clamp(max=_LARGEST_SCALE).exp()
        return multi_positive_loss(
            nn.functional.normalize(motion[known].float(), dim=-1), text, place, scale
        )

    def learned(self) -> dict[str, Tensor]:
        """What a run must remember of it."""
        text = {f"text.{name}": value for name, value in self.text.learned().items()}
        return text | {"log_scale": self.log_scale.data}


def multi_positive_loss(
    motion: Float[Tensor, "clip embedding"],
    text: Float[Tensor, "sentence embedding"],
    place: Int[Tensor, " clip"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Mean of both directions: which sentence names a motion, which motions a sentence names.

    Every sentence comes once and has all its motions as positives, so the same label twice in a
    batch is no false negative.

    Args:
        motion, text: Unit embeddings.
        place: The sentence of every clip; every sentence has at least one.
        scale: Inverse temperature.
    """
    similarity = scale * motion @ text.T
    to_text = nn.functional.cross_entropy(similarity, place)
    positive = nn.functional.one_hot(place, len(text)).to(similarity.dtype).T
    wanted = positive / positive.sum(1, keepdim=True)
    to_motion = nn.functional.cross_entropy(similarity.T, wanted)
    return (to_text + to_motion) / 2
