"""TextCNNClassifier: the scikit-learn side of the network."""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from numbers import Integral, Real
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import _param_validation
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_textcnn._answers import LogitClassifier, Refit
from sklearn_textcnn._checks import random_generator
from sklearn_textcnn._parts import divided, logits_of_folds, share_of_linear_part
from sklearn_textcnn._progress import Progress, shown
from sklearn_textcnn._saving import Saved
from sklearn_textcnn._stacking import LINEAR_ALONE, PartFactors
from sklearn_textcnn._validation import (
    architecture_of,
    check_batch,
    check_callbacks,
    check_training_data,
    coverage,
    refuse_other_network,
)
from sklearn_textcnn.linear import NgramLinearClassifier
from sklearn_textcnn.network.architecture import (
    Architecture,
    distinct_ids,
    map_arrays,
    with_new_rows,
    with_unknown_rows,
)
from sklearn_textcnn.network.forward import Forward
from sklearn_textcnn.training.course import factors_of
from sklearn_textcnn.training.fit import Options, train
from sklearn_textcnn.training.quiet_import import import_with_keras
from sklearn_textcnn.word_vectors import WordVectors, rows_for_ids

# Neither belongs into __dict__: products of tokens are made again from the weights on demand, and
# the state of the optimizer is only good for going on in the same process.
_forwards, _forwards_lock = WeakKeyDictionary(), Lock()
_engines = WeakKeyDictionary()


def _forget_forwards():
    """In a forked process: another thread of the parent may have held a lock of theirs."""
    global _forwards, _forwards_lock
    _forwards, _forwards_lock = WeakKeyDictionary(), Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_forwards)

_TRAINING_OPTIONS = (
    "engine optimizer learning_rate batch_size epochs dropout token_dropout average max_norm l2 "
    "label_smoothing early_stopping patience callbacks"
).split()
# Of the time after the linear part, where word vectors are in a file. For the progress bar.
_READING_SHARE = 0.1
_MOST_SHOWN = 30  # word vectors that are written out where parameters are displayed
# What a fitted classifier needs to answer.
_FITTED = (
    "_architecture _weights _known _factors _multilabel _id_space classes_ linear_ part_weights_ "
    "vocabulary_"
).split()


class TextCNNClassifier(Saved, LogitClassifier, BaseEstimator):
    """Convolutional network for text, with a linear model of words and word pairs beside it.

    How much each of the two counts is learned from documents that neither has seen (`part_weights_`
    says it): a wide and deep model [5]_. ``linear_ngrams=0`` is the network alone, and
    `NgramLinearClassifier` the linear part alone.

    The network is that of Kim (2014) [1]_: token embeddings, convolutions of several sizes side by
    side, pooling over the document, dropout and a softmax, or a sigmoid for two classes and for
    multi-label targets. Hidden dense layers and stacked convolutions are parameters. The common
    network trains with NumPy alone, every other one with Keras on TensorFlow; the fitted classifier
    predicts with NumPy.

    Parameters
    ----------
    embedding_dim : int or None, default=128
        Dimensions of the token embedding. None: no embedding, the first convolution reads one-hot
        tokens [2]_. Without effect with `word_vectors`, whose dimension counts, but None is
        refused then.
    word_vectors : WordVectors, str, path, mapping, KeyedVectors or array-like, default=None
        Pretrained vectors: see `WordVectors`; or a matrix of shape (n_ids, dim) with a row per id,
        row 0 ignored.
    embedding_mode : {"static", "non-static", "multichannel"}, default="non-static"
        With `word_vectors`: keep them as they are, train them further, or both side by side on
        the embedding axis.
    kernel_sizes : int or tuple of int, default=(3, 4, 5)
        Widths of the convolution windows, in tokens.
    filters : int or tuple of int, default=100
        Number of filters of each kernel size; a tuple holds one number per kernel size.
    conv_layers : int, default=1
        Convolutions stacked on each other, for each kernel size.
    pool_size : int, default=2
        Positions pooled into one between stacked convolutions.
    pooling : {"max", "average", "max+average"}, default="max"
        Pooling over the document.
    activation : {"relu", "tanh", "linear"}, default="relu"
        Activation of convolutions and hidden layers.
    hidden_units : int or tuple of int, default=()
        Sizes of dense layers between pooling and output.
    linear_ngrams : {0, 1, 2}, default=2
        Longest n-grams of the linear part, a `NgramLinearClassifier`: tokens (1), or these and
        pairs of neighbours (2). 0: the network alone.
    dropout : float, default=0.5
        Share of inputs of each dense layer that are zeroed in training, in [0, 1).
    token_dropout : float, default=0.2
        Share of tokens replaced by the unknown token in training, in [0, 1).
    average : float, default=0.5
        Share of the epochs, the last ones, whose final weights are averaged [4]_, in [0, 1]; 0: the
        weights of the last epoch. Without effect in `partial_fit`, with `early_stopping`, where a
        callback stops the training or puts other weights in place when it ends, and with an
        optimizer that averages by itself (``use_ema=True``).
    max_norm : float or None, default=None
        Limit on the Euclidean norm of each class's weight vector in the output layer (3 in [1]_).
    l2 : float, default=0.0
        Factor of the sum of squares of convolution and dense kernels in the loss.
    label_smoothing : float, default=0.0
        Share `s` of each target that is spread evenly: ``y * (1 - s) + s / n_classes``; with a
        sigmoid ``y * (1 - s) + s / 2``.
    optimizer : {"lazyadam", "adam", "adamw", "sgd", "adagrad", "rmsprop", "adadelta"} or Keras \
            optimizer, default="lazyadam"
        By name with the constants of Keras. "lazyadam" is Adam that leaves out what momentum would
        do to embedding rows that are not in the batch: rare tokens move less, and stay nearer to
        their pretrained vectors. A Keras optimizer class is called with `learning_rate`; an
        instance is copied for each fit and has its own rate. Both make Keras train the network.
    learning_rate : float, default=0.001
        Step size of the optimizer.
    batch_size : int, default=64
        Documents per training step.
    epochs : int or "auto", default="auto"
        Most passes over the training documents. "auto": 25 for up to 500 documents and fewer the
        more there are, ``round(25 * (500 / n_samples) ** 0.3)``, so 10 for 10,000 and 5 for
        100,000, at least 3; always 25 with `early_stopping`.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the documents, or use `X_val`, stop once their loss (that
        of both parts, if there is a linear one) has not fallen for `patience` epochs, and keep the
        weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the documents held out by `early_stopping`, in (0, 1): shuffled and, except at
        multi-label, stratified. Documents that are alone in their class stay in training.
    patience : int, default=3
        Epochs without a lower validation loss before training stops.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, by label, multiplied with `sample_weight`. "balanced":
        ``n_samples / (n_classes * count of the class)``. Must be None for multi-label targets.
    callbacks : Keras callback, list of them or None, default=None
        Copied for each fit: the objects given here are never trained with. They make Keras train
        the network.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one. Needs ``linear_ngrams=0``.
    engine : {"auto", "numpy", "keras"}, default="auto"
        What trains the network. "numpy" needs no TensorFlow and is several times faster on a CPU.
        It trains networks of one convolution per kernel size with max pooling, an optimizer by
        name and no `callbacks`, and refuses others. "keras" trains every network, by ``Model.fit``
        of the model that `to_keras` returns, on a GPU if TensorFlow sees one. "auto": "numpy" where
        these parameters allow it, else "keras". Where no dropout draws, both end in the same
        weights but for rounding and for ties of windows that hold unknown tokens.
    random_state : int, RandomState instance or None, default=None
        Source of initial weights, order of the documents, dropout and validation split. With an
        int and the same data, weights are equal bit for bit; where Keras trains the network (see
        `engine`) they are equal but for what TensorFlow's threads round differently.
    verbose : int, default=0
        Above 0: a progress bar over all of `fit`, with the epoch and its scores, on standard error,
        if that takes longer than half a second.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; ``arange(n_labels)`` for multi-label targets.
    n_features_in_ : int
        Number of token columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, only if `X` had names that are all strings.
    part_weights_ : dict of str to float
        What the "linear" part and the "network" count for, see Notes: around (1, 0) if only the
        linear part knows anything of use, (0.5, 0.5) if both know about as much. Without a linear
        part ``{"network": 1.0}``.
    linear_ : NgramLinearClassifier or None
        The linear part. Its ``score`` is what the classifier would do without the network.
    n_iter_ : int
        Epochs run.
    best_epoch_ : int or None
        Epoch whose weights `early_stopping` kept, counted from 1; None without.
    history_ : dict of str to list of float
        Per epoch: "loss" (cross-entropy with label smoothing, weights and l2) and "accuracy", which
        are averages over the epoch with dropout on; with documents to validate on "val_loss"
        (cross-entropy alone) and "val_accuracy". All of these are of the network alone.
        "val_loss_with_linear" and "val_accuracy_with_linear" are those of both parts together.
        Accuracies are weighted; at multi-label all labels of a document must be right. Scores that
        callbacks add come last.
    vocabulary_ : tuple of str or None
        Tokens of ids 2 and up, if `X` was `TokenIds` of a learned or fixed vocabulary.
    coverage_ : dict of str to float
        With `word_vectors`, the shares of the training documents' "tokens" (each counted once) and
        "running words" that have a vector. Under half of the running words: a UserWarning.

    See Also
    --------
    TextVectorizerTransformer : Turns text into the ids that this classifier reads.

    Notes
    -----
    Id 0 is padding wherever it stands: it adds nothing to a window, and windows that start on it
    are left out of the pooling. So the answer for a document depends neither on trailing padding
    nor on the other documents. A document without tokens has pooled features of 0.

    An id that training never met is read as unknown (id 1) unless it has a pretrained vector. The
    unknown row is trained by unknown tokens in the training documents and by `token_dropout`;
    otherwise it is zero.

    With a linear part the logits are ::

        part_weights_["linear"] * linear_logits + part_weights_["network"] * scale * network_logits

    where ``scale`` makes the network's own logits as sure as unseen documents show them to be. The
    weights have the lowest cross-entropy on unseen documents, as in stacking [3]_, and are held
    near (1, 0) as if by a hundred documents. A network that is no help there counts nothing, is not
    asked in prediction, and its training ends after half of the epochs. Then word vectors are what
    to try, or `NgramLinearClassifier` alone. The unseen documents are `X_val` or what
    `early_stopping` holds out; else a tenth of the documents, between 200 and 1,000, which the
    network does not train on; with fewer than 1,000 documents all of them, each seen through a
    network trained on the other two thirds. `partial_fit` trains the network alone, without a
    linear part.

    An optimizer's state stays in memory after `partial_fit` and under `warm_start`, and is never
    pickled.

    References
    ----------
    .. [1] Y. Kim (2014). "Convolutional Neural Networks for Sentence Classification". EMNLP.
    .. [2] R. Johnson, T. Zhang (2015). "Effective Use of Word Order for Text Categorization with
       Convolutional Neural Networks". NAACL.
    .. [3] D. Wolpert (1992). "Stacked Generalization". Neural Networks 5(2).
    .. [4] P. Izmailov et al. (2018). "Averaging Weights Leads to Wider Optima and Better
       Generalization". UAI.
    .. [5] H.-T. Cheng et al. (2016). "Wide & Deep Learning for Recommender Systems". DLRS.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
    >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
    >>> labels = ["good", "good", "bad", "bad"] * 10
    >>> pipe = make_pipeline(
    ...     TextVectorizerTransformer(), TextCNNClassifier(epochs=10, random_state=0)
    ... )
    >>> pipe.fit(texts, labels).predict(["a fine plot", "a dull plot"])
    array(['good', 'bad'], dtype='<U4')
    """

    _parameter_constraints = {
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
        "word_vectors": "no_validation",  # checked where it is read, in fit
        "embedding_mode": [StrOptions({"static", "non-static", "multichannel"})],
        "kernel_sizes": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "filters": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "conv_layers": [Interval(Integral, 1, None, closed="left")],
        "pool_size": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"max", "average", "max+average"})],
        "activation": [StrOptions({"relu", "tanh", "linear"})],
        "hidden_units": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "linear_ngrams": [_param_validation.Options(Integral, {0, 1, 2})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "token_dropout": [Interval(Real, 0, 1, closed="left")],
        "average": [Interval(Real, 0, 1, closed="both")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "l2": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [
            StrOptions({"lazyadam", "adam", "adamw", "sgd", "adagrad", "rmsprop", "adadelta"}),
            HasMethods(["update_step", "get_config"]),
        ],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "callbacks": [list, tuple, HasMethods(["set_model", "on_epoch_end"]), None],
        "warm_start": ["boolean"],
        "engine": [StrOptions({"auto", "numpy", "keras"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        embedding_dim=128,
        word_vectors=None,
        embedding_mode="non-static",
        kernel_sizes=(3, 4, 5),
        filters=100,
        conv_layers=1,
        pool_size=2,
        pooling="max",
        activation="relu",
        hidden_units=(),
        linear_ngrams=2,
        dropout=0.5,
        token_dropout=0.2,
        average=0.5,
        max_norm=None,
        l2=0.0,
        label_smoothing=0.0,
        optimizer="lazyadam",
        learning_rate=0.001,
        batch_size=64,
        epochs="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=3,
        class_weight=None,
        callbacks=None,
        warm_start=False,
        engine="auto",
        random_state=None,
        verbose=0,
    ):
        self.embedding_dim = embedding_dim
        self.word_vectors = word_vectors
        self.embedding_mode = embedding_mode
        self.kernel_sizes = kernel_sizes
        self.filters = filters
        self.conv_layers = conv_layers
        self.pool_size = pool_size
        self.pooling = pooling
        self.activation = activation
        self.hidden_units = hidden_units
        self.linear_ngrams = linear_ngrams
        self.dropout = dropout
        self.token_dropout = token_dropout
        self.average = average
        self.max_norm = max_norm
        self.l2 = l2
        self.label_smoothing = label_smoothing
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.engine = engine
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train the network.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids: 0 padding, 1 unknown, 2 and up tokens.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels (strings, integers, booleans), or a multi-label indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the documents in the loss. Documents of weight 0 are left out.
        X_val : TokenIds or array-like of int, shape (n_validation_samples, n_tokens), default=None
            Documents to validate on after each epoch, and to learn the weights of the parts from,
            in place of a split from `X`. In a `Pipeline`, ``transform_input=["X_val"]`` turns texts
            into ids.
        y_val : array-like, default=None
            Labels of `X_val`.

        Returns
        -------
        self : TextCNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If ids, labels, weights or validation data cannot be used; the message says why. An
            earlier fit stays as it was.
        ImportError
            If Keras has to train the network and does not run on TensorFlow.
        RuntimeError
            If it has to in a process that was forked from one where TensorFlow was running.
        """
        with Refit(self) as (other, undo), shown(self.verbose) as progress:
            going_on = other.warm_start and hasattr(other, "_weights")
            data = check_training_data(other, X, y, sample_weight, X_val, y_val, going_on)
            other._train(data, self, undo if going_on else None, progress)
            self.__dict__ = vars(other)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one pass over a batch of documents.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids. `hash_buckets` or `vocabulary` of `TextVectorizerTransformer` give ids
            that mean the same in every batch.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels of the batch, which need not hold every class.
        classes : array-like of shape (n_classes,), default=None
            All classes; needed in the first call unless `y` is a multi-label indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the documents in the loss.

        Returns
        -------
        self : TextCNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If the batch does not go on from earlier ones, after a `fit` that made a linear part,
            with ``early_stopping=True`` and with ``class_weight="balanced"``; see also `fit`. The
            classifier stays as it was.
        ImportError, RuntimeError
            As in `fit`.

        Notes
        -----
        The random stream, `history_` and the state of the optimizer go on from call to call. The
        state of the optimizer stays in memory but is not pickled.
        """
        self._refuse_partial_fit()
        with Refit(self) as (other, undo):
            # products that a prediction has made meanwhile are of rows that are put back
            undo.append(partial(_forwards.pop, self, None))
            going_on = hasattr(other, "_weights")
            data = check_batch(other, X, y, sample_weight, classes, going_on)
            other._train(data, self, undo if going_on else None, Progress(), partial=True)
            self.__dict__ = vars(other)
        return self

    def to_keras(self):
        """Build a Keras model with the fitted weights, of Keras' own layers only.

        Returns
        -------
        keras.Model
            int32 ids of shape (n_samples, any width) -> probabilities of shape
            (n_samples, n_outputs): one sigmoid unit for two classes (the probability of
            ``classes_[1]``), a softmax for more, a sigmoid per label at multi-label. It saves,
            loads and exports without this package, and can be compiled and trained further.
        """
        now = self._now()
        check_is_fitted(now)
        keras_engine = import_with_keras("sklearn_textcnn.training.keras_engine")
        beside = {}
        if now.linear_ is not None:
            linear, network, scale = now._factors
            beside = {"linear": now.linear_._tables, "factors": (linear, network * scale)}
        network = keras_engine.KerasNetwork(
            Architecture(**now._architecture),
            len(now._known),
            dropout=now.dropout,
            l2=now.l2,
            max_norm=now.max_norm,
            **beside,
        )
        network.write(with_unknown_rows(now._weights, now._known))
        network.model(np.zeros((1, 1), dtype=np.int32))  # Keras exports what has been called
        return network.model

    def _refuse_partial_fit(self):
        for name, used in (
            ("early_stopping=True", self.early_stopping),
            ('class_weight="balanced"', isinstance(self.class_weight, str)),
        ):
            if used:
                raise ValueError(
                    f"partial_fit sees one batch and cannot use {name}. Use fit, or pass "
                    "sample_weight and watch a score between calls."
                )

    def _train(self, data, owner, undo, progress, partial=False):
        """Train from scratch or from the weights at hand, and store what comes of it.

        This is the new state of `owner`, whose optimizer goes on. `undo` gets what puts everything
        back that training changes in place; None: from scratch.
        """
        going_on = undo is not None
        rng = self._random_stream(going_on)
        linear = factors = None
        if self.linear_ngrams and not partial:
            linear, data = self._fit_linear(data, rng, progress)
        documents, validation, folds = divided(data, self, rng)
        options = self._options(len(documents.ids), partial)
        if going_on:
            architecture, start = self._earlier_start(data, rng, in_place=partial)
        else:
            architecture, start = self._new_start(data, rng, progress)
        name = "network"
        if folds is not None:
            n_folds = folds.max() + 1
            name = f"network {n_folds + 1} of {n_folds + 1}"
            part = progress.part(1 - 1 / n_folds)  # as many documents as n_folds - 1 networks see
            logits = logits_of_folds(architecture, start, documents, folds, options, rng, part)
            factors = factors_of(documents, logits, architecture)
            if factors == LINEAR_ALONE:
                options = replace(options, epochs=-(-options.epochs // 2))
        weights, known = start(documents.ids)
        optimizer, engine = _engines.get(owner, (None, None))
        earlier = engine if going_on and optimizer == self.optimizer else None
        arguments = documents, validation, options, rng, earlier, undo
        result = train(architecture, weights, known, *arguments, progress=progress.part(1, name))
        if linear is not None and folds is None:
            logits = Forward(architecture, result.weights, known).logits(validation.ids)
            factors = factors_of(validation, logits, architecture)
        earlier = self.history_ if partial and going_on else {}
        history = {name: earlier.get(name, []) + values for name, values in result.history.items()}
        vars(self).update(
            _architecture=asdict(architecture),
            _weights=result.weights,
            _known=known,
            _factors=factors and tuple(factors),
            _multilabel=data.multilabel,
            _id_space=data.id_space,
            _random_stream_state=rng.bit_generator.state,
            linear_=linear,
            part_weights_={"network": 1.0} if factors is None else factors.by_part(),
            vocabulary_=data.vocabulary,
            history_=earlier | history,
            n_iter_=len(history["loss"]),
            best_epoch_=result.best_epoch,
        )
        if partial or self.warm_start:
            _engines[owner] = self.optimizer, result.engine
        else:
            _engines.pop(owner, None)

    def _random_stream(self, going_on):
        """The generator behind every random number of a fit."""
        if not going_on:
            return random_generator(self.random_state)
        rng = np.random.default_rng()
        rng.bit_generator.state = self._random_stream_state
        return rng

    def _options(self, n_samples, partial):
        options = {name: getattr(self, name) for name in _TRAINING_OPTIONS}
        options["callbacks"] = check_callbacks(self)
        options["epochs"] = self._n_epochs(n_samples)
        if partial:
            options |= {"epochs": 1, "average": 0}
        return Options(**options)

    def _n_epochs(self, n_samples):
        if self.epochs != "auto":
            return self.epochs
        return _enough_epochs(0 if self.early_stopping else n_samples)

    def _fit_linear(self, data, rng, progress):
        """The linear part, and data that knows its logits for documents it has not seen."""
        documents = data.documents
        share = share_of_linear_part(data, self, self._n_epochs(len(documents.ids)))
        linear = NgramLinearClassifier(
            ngrams=self.linear_ngrams,
            store_cv_decisions=True,
            random_state=int(rng.integers(2**31)),
            verbose=self.verbose,
        )
        names = ("classes_", "n_features_in_", "feature_names_in_")
        known = {name: vars(self)[name] for name in names if name in vars(self)}
        vars(linear).update(known, vocabulary_=data.vocabulary, _id_space=data.id_space)
        linear._fit_checked(
            documents.ids,
            documents.targets,
            documents.weights,
            data.multilabel,
            random_generator(linear.random_state),
            progress.part(share),
        )
        documents = replace(documents, beside=linear.cv_decisions_)
        validation = data.validation
        if validation is not None:
            validation = replace(validation, beside=linear._decisions(validation.ids))
        # training documents are nothing that a fitted classifier should hold
        del linear.set_params(store_cv_decisions=False).cv_decisions_
        return linear, replace(data, documents=documents, validation=validation)

    def _new_start(self, data, rng, progress):
        """Architecture, and what makes the first weights for the documents to train on."""
        vectors, dim, n_ids, found = None, 0, data.n_ids, np.zeros(data.n_ids, dtype=bool)
        vars(self).pop("coverage_", None)
        if self.word_vectors is not None:
            vectors, found = self._read_word_vectors(data.vocabulary, n_ids, progress)
            n_ids, dim = vectors.shape  # a matrix may have rows for more ids than there are
            counts = np.bincount(data.documents.ids.ravel(), minlength=n_ids)
            self.coverage_ = coverage(counts, found)
        n_outputs = data.documents.targets.shape[1]
        architecture = architecture_of(self, dim, n_outputs, data.multilabel)

        def start(ids):
            seen = distinct_ids(ids, n_ids)
            weights = partial(architecture.initial_weights, n_ids, seen, vectors, found, rng)
            return weights, _with(found, seen)

        return architecture, start

    def _earlier_start(self, data, rng, in_place):
        """The same for weights to go on from."""
        before = Architecture(**self._architecture)
        # the vectors of the earlier fit: reading them again to compare them is not worth it
        dim = max(before.static_dim, before.trained_dim)
        n_outputs = data.documents.targets.shape[1]
        architecture = architecture_of(self, dim, n_outputs, data.multilabel)
        refuse_other_network(self, architecture, in_place)
        known = np.zeros(max(data.n_ids, len(self._known)), dtype=bool)
        known[: len(self._known)] = self._known

        def start(ids):
            seen = distinct_ids(ids, len(known))
            weights = map_arrays(_writable if in_place else np.copy, self._weights)
            new, pretrained = seen[~known[seen]], hasattr(self, "coverage_")
            make = partial(with_new_rows, weights, len(known), new, known, pretrained, rng)
            return make, _with(known, seen)

        return architecture, start

    def _read_word_vectors(self, vocabulary, n_ids, progress):
        if self.embedding_dim is None:
            raise ValueError(
                "embedding_dim=None convolves over one-hot tokens and has no place for "
                "word_vectors. Leave embedding_dim at its default (the dimension is that of the "
                "vectors), or set word_vectors=None."
            )
        # what is not in a file is there at once
        is_file = isinstance(self.word_vectors, (str, os.PathLike, WordVectors))
        part = progress.part(_READING_SHARE if is_file else 0.0)
        return rows_for_ids(self.word_vectors, vocabulary, n_ids, verbose=part)

    def _decisions(self, ids, now):
        """Logits of plain ids, (n, n_outputs), by this classifier as it was: `now`."""
        if now.linear_ is None:
            return self._forward(now).logits(ids)
        linear, factors = now.linear_._decisions(ids), PartFactors(*now._factors)
        if factors == LINEAR_ALONE:
            return linear
        return factors.sum(linear, self._forward(now).logits(ids))

    def _forward(self, now=None):
        now = now or self._now()
        entry = _forwards.get(self)
        if entry is None or entry.weights is not now._weights:
            with _forwards_lock:
                entry = _forwards.get(self)
                if entry is None or entry.weights is not now._weights:
                    architecture = Architecture(**now._architecture)
                    entry = Forward(architecture, now._weights, now._known)
                    _forwards[self] = entry
        return entry

    def get_params(self, deep=True):
        """Parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: no parameter is an estimator whose parameters could be set.

        Returns
        -------
        dict of str to object
        """
        params = super().get_params(deep)
        # scikit-learn writes out every number, also where it shows an estimator within another
        if sys._getframe(1).f_globals.get("__name__") == "sklearn.utils._pprint":
            params["word_vectors"] = _for_display(self.word_vectors)
        return params

    def _get_params_html(self, *args, **kwargs):
        shown = type(self).__new__(type(self))
        vars(shown).update(vars(self), word_vectors=_for_display(self.word_vectors))
        return super(TextCNNClassifier, shown)._get_params_html(*args, **kwargs)

    def _needed(self, state):
        return _FITTED if "_weights" in state else ()

    def _migrated(self, state):
        if "_linear" not in state:
            return state
        # from before the linear part was a classifier of its own, and its share was learned
        tables, share = state.pop("_linear"), state.pop("_network_share")
        state |= {"linear_": None, "_factors": None, "part_weights_": {"network": 1.0}}
        if tables is not None:
            factors = PartFactors(1.0, float(share), 1.0)
            state["linear_"] = linear = NgramLinearClassifier(ngrams=state["linear_ngrams"])
            shared = "_multilabel", "_id_space", "classes_", "vocabulary_", "n_features_in_"
            vars(linear).update({name: state[name] for name in shared}, _tables=tables)
            state |= {"_factors": tuple(factors), "part_weights_": factors.by_part()}
        return state

    def __copy__(self):
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        if hasattr(copied, "_weights"):  # partial_fit trains the tables in place
            copied._weights = map_arrays(np.copy, copied._weights)
        return copied


def _for_display(vectors):
    """Word vectors, or what stands for so many that displaying them would take a minute."""
    is_long = isinstance(vectors, Mapping | list | tuple) and len(vectors) > _MOST_SHOWN
    return _Summary(vectors) if is_long else vectors


class _Summary:
    def __init__(self, vectors):
        self._text = f"<{type(vectors).__name__} of {len(vectors):,} vectors>"

    def __repr__(self):
        return self._text


def _enough_epochs(n_samples):
    """Passes after which more gain nothing: many over few documents, few over many."""
    return max(round(25 * (500 / max(n_samples, 500)) ** 0.3), 3)


def _writable(array):
    """An array to train in place; a copy of one that is mapped from a file."""
    return np.require(array, requirements="W")


def _with(known, seen):
    """Which ids have a row: those that had one, padding, the unknown token and what was seen."""
    known = known.copy()
    known[:2] = True
    known[seen] = True
    return known
