"""Files of estimators say which version has written them, and load in others if they can."""

import re
import warnings
from inspect import signature

from sklearn.exceptions import InconsistentVersionWarning

__version__ = "0.1.0"
# Rises with each change of the attributes that fitted estimators keep. Files of before there was
# such a number count as 0.
STATE_VERSION = 1

# What a skops file of this package may hold that skops does not trust by itself. Making an object
# of these types sets attributes and compares versions, nothing else.
TRUSTED_TYPES = (
    "sklearn_textcnn.classifier.TextCNNClassifier",
    "sklearn_textcnn.linear.NgramLinearClassifier",
    "sklearn_textcnn.vectorizer.TextVectorizerTransformer",
    "sklearn_textcnn.word_vectors.WordVectors",
)


class NewerVersionWarning(InconsistentVersionWarning):
    """A file was written by a newer version of this package."""

    def __str__(self):
        return (
            f"This {self.estimator_name} was saved by sklearn_textcnn "
            f"{self.original_sklearn_version}, this is {self.current_sklearn_version}. Its answers "
            "may be others here. Load it with the version that saved it, or a newer one."
        )


class Saved:
    """Estimators whose saved state has a version.

    Pickles, joblib and skops files hold what `__getstate__` returns.
    """

    def __getstate__(self):
        versions = {"_package_version": __version__, "_state_version": STATE_VERSION}
        return super().__getstate__() | versions

    def __setstate__(self, state):
        state = dict(state)
        written_by = state.pop("_package_version", None)
        number = state.pop("_state_version", 0)
        name = type(self).__name__
        if number > STATE_VERSION or (written_by and _release(written_by) > _release(__version__)):
            warning = NewerVersionWarning(
                estimator_name=name,
                current_sklearn_version=__version__,
                original_sklearn_version=written_by,
            )
            warnings.warn(warning, stacklevel=2)
        for parameter in signature(type(self)).parameters.values():
            if parameter.default is not parameter.empty:
                state.setdefault(parameter.name, parameter.default)
        state = self._migrated(state)
        missing = [name for name in self._needed(state) if name not in state]
        if missing:
            by = f"sklearn_textcnn {written_by}" if written_by else "an early development version"
            raise ValueError(
                f"This {name} was saved by {by}, and version {__version__} does not know how to "
                f"use it (it lacks {', '.join(missing)}). Load it with the version that saved it, "
                "or fit again."
            )
        super().__setstate__(state)

    def _migrated(self, state):
        """State of an earlier version, as this one has it."""
        return state

    def _needed(self, state):
        """Names of the attributes that an estimator of this state has to have."""
        return ()


def _release(version):
    """The numbers at the start of a version, to compare."""
    return tuple(map(int, re.match(r"[\d.]*", version)[0].strip(".").split(".")))
