"""Gamma-Gamma: the average value of a customer's purchases (Fader and Hardie 2013)."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from adventureworks.marts.customers.customer_value.likelihood import Fit, maximise

Floats = np.ndarray


def fit(x: Floats, mean_value: Floats) -> Fit:
    """Fit the parameters p, q, v to customers with x > 0 repeat purchases and their mean value."""
    rows, counts = np.unique(np.column_stack([x, mean_value]), axis=0, return_counts=True)
    x, m = rows.T
    log_m = np.log(m)
    # Few numbers of purchases differ, and functions of them are the slowest.
    purchases, place = np.unique(x, return_inverse=True)

    def log_likelihood(parameters: Floats) -> float:
        p, q, v = parameters
        each = (
            (gammaln(p * purchases + q) - gammaln(p * purchases))[place]
            - gammaln(q)
            + q * np.log(v)
            + (p * x - 1) * log_m
            + (p * purchases * np.log(purchases))[place]
            - (p * x + q) * np.log(x * m + v)
        )
        return float(counts @ each)

    return maximise(log_likelihood, 3)


def expected_value(fitted: Fit, x: Floats, mean_value: Floats) -> Floats:
    """Return the expected value of a purchase, between the customer's own mean and that of all; x may be 0."""
    p, q, v = fitted.parameters
    return p * (v + x * mean_value) / (p * x + q - 1)
