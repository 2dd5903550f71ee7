"""Text alignment of stage 1: contrastive loss between motion embeddings and sentences."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from training.trainer.text_encoder import TextEncoder

_FIRST_TEMPERATURE = 0.07
_LARGEST_SCALE = math.log(100.0)


class Aligner(nn.Module):
    """Contrastive loss between motions and the sentences of a mocap folder.

    Args:
        text: Text encoder.
        sentences: Sentences the labels index, from Mocap.texts.

    Source:
        Motion aligned with text by a modified contrastive loss: LangPose; the modification is not
        published. Several positives per sentence, and the learned temperature of CLIP (Radford et
        al. 2021): ours.
    """

    def __init__(self, text: TextEncoder, sentences: Sequence[str]) -> None:
        super().__init__()
        self.text = text
        self.sentences = tuple(sentences)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(_FIRST_TEMPERATURE)))

    def forward(
        self, motion: Float[Tensor, "clip embedding"], label: Int[Tensor, " clip"]
    ) -> Float[Tensor, ""]:
        """Compute the loss of one batch; clips labelled -1 are left out.

        Args:
            motion: Motion embeddings, not normalised.
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
        """Return the trained weights, to be saved with the run."""
        text = {f"text.{name}": value for name, value in self.text.learned().items()}
        return text | {"log_scale": self.log_scale.data}


def multi_positive_loss(
    motion: Float[Tensor, "clip embedding"],
    text: Float[Tensor, "sentence embedding"],
    place: Int[Tensor, " clip"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Compute the mean of motion-to-text and text-to-motion cross entropy.

    Every sentence occurs once with all its motions as positives, so a label that occurs twice in a
    batch is not a false negative.

    Args:
        motion, text: Unit embeddings.
        place: Index of every clip's sentence; every sentence has at least one clip.
        scale: Inverse temperature.
    """
    similarity = scale * motion @ text.T
    to_text = nn.functional.cross_entropy(similarity, place)
    positive = nn.functional.one_hot(place, len(text)).to(similarity.dtype).T
    wanted = positive / positive.sum(1, keepdim=True)
    to_motion = nn.functional.cross_entropy(similarity.T, wanted)
    return (to_text + to_motion) / 2
