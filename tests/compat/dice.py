"""Where what is rolled for comparisons with a real Postfix begins: GATEPOST_RANDOM_SEED rolls other things."""

import os
import random
from collections.abc import Iterator

SEED = int(os.environ.get("GATEPOST_RANDOM_SEED", "1"))


def rolls(seed: int, count: int) -> Iterator[random.Random]:
    """Dice for so many cases, each its own: what one case is does not depend on those before it."""
    return (random.Random(seed * 100_000 + number) for number in range(count))
