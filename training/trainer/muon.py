"""Optimiser: Muon for the matrices of the layers, AdamW for everything else.

Muon's steps have equal size in every direction of a matrix. Measured gain:
docs/development/decisions/muon.md.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.trainer.bfloat16 import has_tiles


class StackedMuon(torch.optim.Muon):
    """Muon of torch with fewer and cheaper products; its state is the same.

    Matrices of one shape are orthogonalised together. torch computes in bfloat16, which processors
    without it emulate at a tenth of the speed of float32; on a CPU without tiles of bfloat16 (AMX)
    this computes in float32.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update the matrices that have a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.shape].append(weight)
            for shape, weights in alike.items():
                moved = self._orthogonal(torch.stack([self._push(w, group) for w in weights]))
                rate = group["lr"] * 0.2 * max(shape) ** 0.5  # the size of AdamW's updates
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(weights, list(moved.to(weights[0].dtype)), alpha=-rate)

    def _push(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """Add the gradient to the momentum, in place; return the look-ahead of Nesterov."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        momentum.lerp_(weight.grad, 1 - group["momentum"])
        return weight.grad.lerp(momentum, group["momentum"])

    @staticmethod
    def _orthogonal(matrices: Tensor) -> Tensor:
        """Bring the singular values of a stack of matrices near one, by Newton and Schulz."""
        wide = matrices if matrices.is_cpu and not has_tiles() else matrices.bfloat16()
        tall = wide.shape[1] > wide.shape[2]
        x: Tensor = wide.mT if tall else wide
        x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPS)
        for _ in range(_NEWTON_STEPS):
            gram = x @ x.mT
            x = _A * x + (_B * gram + _C * gram @ gram) @ x
        found: Tensor = x.mT if tall else x
        return found


_A, _B, _C = 3.4445, -4.7750, 2.0315
_NEWTON_STEPS, _EPS = 5, 1e-7
"""Source: Jordan et al. 2024, as in torch.optim."""


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
            muon = StackedMuon(
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
