"""Optimiser: Muon for the matrices of the layers, AdamW for everything else.

Muon's steps have equal size in every direction of a matrix. Measured gain:
docs/development/decisions/muon.md.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class MuonAdamW:
    """Muon and AdamW of torch behind one interface.

    Args:
        model: Muon updates its two-dimensional weights under ``encoder.layers``; parameters that
            require no gradient are left unchanged.
        aligner: Trained with AdamW; None without text alignment.
        learning_rate: Peak of AdamW.
        matrix_learning_rate: Peak of Muon; its updates have the size of AdamW's.
        weight_decay: Weight decay of every matrix, inside and outside the layers.

    Source:
        Muon: Jordan et al. 2024, as in torch.optim; which weights, and the rates: ours.
    """

    def __init__(
        self,
        model: nn.Module,
        aligner: nn.Module | None = None,
        *,
        learning_rate: float,
        matrix_learning_rate: float,
        weight_decay: float,
    ) -> None:
        everything = dict(model.named_parameters())
        if aligner is not None:
            everything |= dict(aligner.named_parameters(prefix="aligner"))
        named = {n: p for n, p in everything.items() if p.requires_grad}
        inner = [p for n, p in named.items() if p.ndim == 2 and n.startswith("encoder.layers.")]
        taken = {id(p) for p in inner}
        outer = [p for p in named.values() if p.ndim >= 2 and id(p) not in taken]
        plain = [p for p in named.values() if p.ndim < 2]
        adamw = torch.optim.AdamW(
            [
                {"params": outer, "weight_decay": weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=learning_rate,
            betas=(0.9, 0.98),
        )
        self._parts: tuple[torch.optim.Optimizer, ...] = (adamw,)
        if inner:
            muon = torch.optim.Muon(
                inner,
                lr=matrix_learning_rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            self._parts = (muon, adamw)
        self._peaks = [group["lr"] for part in self._parts for group in part.param_groups]

    def step(self, share_of_peak: float) -> None:
        """Update the weights at this share of the peak rates, and drop the gradients."""
        groups = [group for part in self._parts for group in part.param_groups]
        for group, peak in zip(groups, self._peaks, strict=True):
            group["lr"] = peak * share_of_peak
        for part in self._parts:
            step: Callable[[], Any] = part.step
            step()
        self.forget_gradients()

    def forget_gradients(self) -> None:
        """Drop the gradients without a step."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the state needed to resume."""
        return {str(index): part.state_dict() for index, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state, in place."""
        for index, part in enumerate(self._parts):
            part.load_state_dict(state[str(index)])
