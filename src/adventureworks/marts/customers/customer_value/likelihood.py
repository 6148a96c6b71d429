"""Maximum likelihood for positive parameters: bounded, and from a fixed start, so that equal data give equal fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

LOWER_BOUND, UPPER_BOUND = 1e-4, 1e4
"""Bounds of every parameter; a fit that ends at one of them has no maximum inside and is unusable."""


@dataclass(frozen=True)
class Fit:
    """Parameters with the greatest likelihood."""

    parameters: tuple[float, ...]
    log_likelihood: float
    converged: bool

    @property
    def is_degenerate(self) -> bool:
        """Whether the optimiser failed, or a parameter ended near a bound."""
        return not self.converged or any(not 2 * LOWER_BOUND < value < UPPER_BOUND / 2 for value in self.parameters)


def maximise(log_likelihood: Callable[[np.ndarray], float], parameters: int) -> Fit:
    """Maximise over the logarithms of the parameters with L-BFGS-B, starting with all parameters equal to 1."""

    def loss(logs: np.ndarray) -> float:
        return -log_likelihood(np.exp(logs))

    bounds = [(np.log(LOWER_BOUND), np.log(UPPER_BOUND))] * parameters
    found = minimize(
        loss, np.zeros(parameters), method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-13}
    )
    values = tuple(float(value) for value in np.exp(found.x))
    return Fit(values, -float(found.fun), bool(found.success) and bool(np.isfinite(found.fun)))
