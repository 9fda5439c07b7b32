# What scikit-learn and river ask of a classifier beside its verbs. Neither is imported: where the user has not, nothing
# of this matters.
# Never here: learning.
"""Meeting points with scikit-learn and river."""

from __future__ import annotations

import functools
import sys
from typing import Any

from edgecl.errors import SequenceError


def is_river_classifier(kind: type) -> None:
    """Tells a river that is in use that the class is one of its classifiers; its metrics ask for that."""
    river = sys.modules.get("river.base")
    if river is not None:
        river.Classifier.register(kind)


def not_fitted(message: str) -> SequenceError:
    """The error of a learner without classes; scikit-learn's NotFittedError as well where that is in use."""
    exceptions = sys.modules.get("sklearn.exceptions")
    return (SequenceError if exceptions is None else _not_fitted_class(exceptions.NotFittedError))(message)


@functools.cache
def _not_fitted_class(scikit_learn_error: type[Exception]) -> type[SequenceError]:
    return type("NotFittedError", (SequenceError, scikit_learn_error), {"__module__": __name__})


def scikit_learn_tags() -> Any:
    """What scikit-learn may expect of the estimator."""
    from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

    return Tags(
        estimator_type="classifier",
        target_tags=TargetTags(required=True),
        transformer_tags=None,
        classifier_tags=ClassifierTags(),
        regressor_tags=None,
        input_tags=InputTags(two_d_array=True, three_d_array=True),
    )
