"""BG/NBD: how often customers without a contract buy, and whether they still do (Fader, Hardie and Lee 2005).

A customer is described by x repeat purchases, the time t_x of the last one and the time T since the first, in weeks.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, gammaln, hyp2f1

from adventureworks.marts.customers.customer_value.likelihood import Fit, maximise

Floats = np.ndarray


def fit(x: Floats, t_x: Floats, age: Floats, customers: Floats) -> Fit:
    """Fit the parameters r, alpha, a, b to histories and the number of customers with each."""
    # Few numbers of purchases differ, and functions of them are the slowest.
    purchases, place = np.unique(x, return_inverse=True)

    def log_likelihood(parameters: Floats) -> float:
        r, alpha, a, b = parameters
        known = gammaln(r + purchases) - gammaln(r) + r * np.log(alpha) + betaln(a, b + purchases) - betaln(a, b)
        # The two explanations for no purchases since: still alive, or gone after the last purchase.
        alive = -(r + x) * np.log(alpha + age)
        gone = (np.log(a) - np.log(b + np.maximum(purchases, 1) - 1))[place] - (r + x) * np.log(alpha + t_x)
        return float(customers @ (known[place] + np.where(x > 0, np.logaddexp(alive, gone), alive)))

    return maximise(log_likelihood, 4)


def probability_alive(fitted: Fit, x: Floats, t_x: Floats, age: Floats) -> Floats:
    """Return the probability that each customer still buys at all."""
    r, alpha, a, b = fitted.parameters
    odds = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x), 0.0)
    return 1 / (1 + odds)


def expected_purchases(fitted: Fit, weeks: float, x: Floats, t_x: Floats, age: Floats) -> Floats:
    """Return the expected number of purchases of each customer in the next weeks."""
    r, alpha, a, b = fitted.parameters
    if abs(a - 1) < 1e-6:
        a = 1 + 1e-6  # The formula has a removable singularity there.
    hyper = hyp2f1(r + x, b + x, a + b + x - 1, weeks / (alpha + age + weeks))
    unconditional = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + weeks)) ** (r + x) * hyper)
    return unconditional * probability_alive(fitted, x, t_x, age)
