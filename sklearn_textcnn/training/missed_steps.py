"""Steps that rows of a table missed because no token of theirs was in the batch.

Keras' Adam moves a weight at every step, for dozens of steps after its last gradient, on momentum.
Updates that touch the rows of a batch alone would leave that out, and a rare token would move a
tenth as far. So a row makes up for the steps it missed when it is needed next, and every row does
at the end of an epoch: the sum over those steps is known without taking them. It is exact but for
epsilon, which is taken to shrink with what it is added to.
"""

from math import sqrt

import numpy as np

BETA_1, BETA_2 = 0.9, 0.999  # of Adam, the defaults of Keras
# In each step without a gradient a row moves by this factor less: the momentum shrinks by BETA_1,
# what it is divided by shrinks as well.
SHRINKING = BETA_1 / sqrt(BETA_2)
# After so many steps there is nothing left of a move.
LONGEST_MEMORY = 200
ROWS_AT_A_TIME = 2**14


def bias_correction(step):
    """What Adam multiplies the learning rate by in a step, counted from 1."""
    return sqrt(1 - BETA_2**step) / (1 - BETA_1**step)


class MissedSteps:
    """Keeps count of an epoch's steps, at most `n_steps`.

    Before them the optimizer took others, of which no row has missed any.
    """

    def __init__(self, n_rows, n_steps, before):
        self._step, self._before = 0, before
        self._last = np.zeros(n_rows, dtype=np.int64)
        # by the last step of a row: how far it has to move, in units of rate * momentum / deviation
        self._owed = np.zeros(n_steps + 1)

    def begin_step(self, rows):
        """Begin the next step, in which these distinct rows have a gradient.

        Returns the steps that each row has missed since its last one, and the sum over those of
        Adam's bias correction and of what is left of the move, both (n_rows, 1).
        """
        answer = self._since(self._last[rows])
        self._step += 1
        self._last[rows] = self._step
        others = np.arange(max(0, self._step - LONGEST_MEMORY), self._step)
        shares = SHRINKING ** (self._step - others)
        self._owed[others] += shares * bias_correction(self._before + self._step)
        return answer

    def of_rows(self, rows):
        """Yield (rows, missed, owed) of those rows that missed any, some at a time."""
        late = rows[self._last[rows] < self._step]
        for start in range(0, len(late), ROWS_AT_A_TIME):
            rows = late[start : start + ROWS_AT_A_TIME]
            yield rows, *self._since(self._last[rows])

    def _since(self, last):
        return tuple(
            column[:, None].astype(np.float32) for column in (self._step - last, self._owed[last])
        )
